// Refuses Node versions that the tools do not run on, before anything else is loaded. Keep the syntax of this file old.
const RANGES = 'Node 20.19 or newer in the 20 line, 22.13 or newer in the 22 line, or 24 and up'

export function isSupportedNode(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  if (major === 20) return minor >= 19
  if (major === 22) return minor >= 13
  return major >= 24
}

if (!isSupportedNode(process.version)) {
  process.stderr.write(
    `error NODE_VERSION ${process.version}: Quantmill needs ${RANGES}; install one from nodejs.org or your package manager\n`,
  )
  process.exit(3)
}

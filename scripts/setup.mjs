// Brings a clone into a state in which everything runs: dependencies as the lock file says, and a build of the current sources.
// Does nothing when both are current. Messages go to standard error, so that callers can keep standard output clean.
import './lib/node-version.mjs'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { withLock } from './lib/lock.mjs'
import { npmCommand, root, run } from './lib/processes.mjs'

const installMarker = join(root, 'node_modules', '.quantmill-install')
const buildMarker = join(root, 'out', '.build-hash')
const BUILD_INPUTS = [
  'main',
  'renderer',
  'shared',
  'test/bench/support',
  'package.json',
  'electron.vite.config.ts',
  'scripts/build.mjs',
  'scripts/build-kernels.mjs',
  'scripts/build-licences.mjs',
  'scripts/lib/licences.mjs',
  'assets/licences',
  'electron-builder.yml',
]

export class SetupError extends Error {}

/** Installs and builds what is missing or outdated. Throws SetupError with the tools' output. */
export async function setUp({ note = (text) => process.stderr.write(text) } = {}) {
  if (isInstalled() && isBuilt()) return
  await withLock(async () => {
    if (!isInstalled()) await install(note)
    if (!isBuilt()) await build(note)
  }, note)
}

async function install(note) {
  note('installing dependencies (npm ci) ...\n')
  const [command, args] = npmCommand([
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ])
  const { code, output } = await run(command, args, {
    env: { NODE_ENV: undefined, npm_config_omit: undefined },
  })
  if (code !== 0) throw new SetupError(`npm ci failed with exit code ${code}\n${output}`)
  writeFileSync(installMarker, installKey())
}

async function build(note) {
  note('building ...\n')
  const hash = sourceHash()
  const { code, output } = await run(process.execPath, [join(root, 'scripts', 'build.mjs')])
  if (code !== 0) throw new SetupError(`the build failed\n${output}`)
  mkdirSync(join(root, 'out'), { recursive: true })
  writeFileSync(buildMarker, hash)
}

function isInstalled() {
  if (readOptional(installMarker) === installKey()) return true
  if (!matchesHiddenLock()) return false
  writeFileSync(installMarker, installKey())
  return true
}

function installKey() {
  const lock = readFileSync(join(root, 'package-lock.json'))
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform} ${process.arch}`
}

/** npm records what it installed; when somebody ran npm themselves and the result is the same, nothing needs doing. */
function matchesHiddenLock() {
  const text = readOptional(join(root, 'node_modules', '.package-lock.json'))
  if (text === undefined) return false
  const installed = JSON.parse(text).packages
  const wanted = Object.entries(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages)
  return wanted.every(([path, { version, optional }]) => {
    if (path === '') return true
    const present = installed[path]
    return present === undefined ? optional === true : present.version === version
  })
}

function isBuilt() {
  return readOptional(buildMarker) === sourceHash()
}

/** SHA-256 over names and contents of everything the build reads, dependencies by their lock file. */
export function sourceHash() {
  const hash = createHash('sha256').update(installKey())
  for (const input of BUILD_INPUTS) addToHash(hash, input)
  return hash.digest('hex')
}

function addToHash(hash, path) {
  const full = join(root, path)
  if (statSync(full).isDirectory()) {
    for (const name of readdirSync(full).sort()) addToHash(hash, `${path}/${name}`)
  } else hash.update(`\0${path}\0`).update(readFileSync(full))
}

function readOptional(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** For scripts: sets up or ends the process with code 3 and the reason. */
export async function setUpOrExit() {
  try {
    await setUp()
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    process.stderr.write(`error SETUP_FAILED ${error.message}\n`)
    process.exit(3)
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  await setUpOrExit()

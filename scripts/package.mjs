// Builds a package of the desktop application for this platform into dist/ and prints what it consists of. `--dir` makes the unpacked folder
// only, which needs no download besides Electron; `--tar` also a tar.gz of it, with the system's tar; `--electron-dist DIR` takes an Electron
// that is already on disk (an unpacked distribution with its `version` file); `--output DIR` is used instead of dist/; `--document` writes the
// table of sizes into docs/packaging.md.
import './lib/node-version.mjs'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packageSizes, replaceBetweenMarkers, sizeTable } from './lib/package-sizes.mjs'
import { root, run } from './lib/processes.mjs'
import { setUpOrExit } from './setup.mjs'

const { values } = parseArgs({
  options: {
    dir: { type: 'boolean' },
    tar: { type: 'boolean' },
    document: { type: 'boolean' },
    'electron-dist': { type: 'string' },
    output: { type: 'string' },
  },
})
const absolute = (path) => resolve(process.env.INIT_CWD ?? process.cwd(), path)
const output = values.output === undefined ? join(root, 'dist') : absolute(values.output)
const given = values['electron-dist']
const say = (text) => process.stdout.write(text)
/** electron-builder lists every package that is found twice below node_modules, which is nothing to act on. */
const NOISE = 'duplicate dependency references'

await setUpOrExit()
const args = [join(root, 'node_modules', 'electron-builder', 'cli.js'), '--publish', 'never']
if (values.dir) args.push('--dir')
if (given !== undefined) {
  const version = readFileSync(join(absolute(given), 'version'), 'utf8').trim()
  args.push(`-c.electronDist=${absolute(given)}`, `-c.electronVersion=${version}`)
}
if (values.output !== undefined) args.push(`-c.directories.output=${output}`)
let unfinished = ''
const { code } = await run(process.execPath, args, {
  onOutput: (text) => {
    const lines = `${unfinished}${text}`.split('\n')
    unfinished = lines.pop()
    for (const line of lines) if (!line.includes(NOISE)) say(`${line}\n`)
  },
})
say(unfinished)
process.exitCode = code
if (code === 0) await describePackage()

async function describePackage() {
  const folder = readdirSync(output).find((name) => /^(linux|win)(-arm64)?-unpacked$/.test(name))
  // An application bundle of macOS has another tree.
  if (folder === undefined) return
  const archives = values.tar ? [await makeTar(folder)] : []
  const table = sizeTable(
    packageSizes(join(output, folder)),
    archives.map((path) => [path.split(/[\\/]/).at(-1), statSync(path).size]),
  )
  say(`\n${table}\n`)
  if (!values.document) return
  const document = join(root, 'docs', 'packaging.md')
  writeFileSync(document, replaceBetweenMarkers(document, 'sizes', table))
}

/** The folder as one file, under a name with version and platform. */
async function makeTar(folder) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const name = `quantmill-${version}-${process.platform}-${process.arch}`
  const path = join(output, `${name}.tar.gz`)
  const made = await run('tar', [
    '-czf',
    path,
    `--transform=s,^${folder},${name},`,
    '--owner=0',
    '--group=0',
    '-C',
    output,
    folder,
  ])
  if (made.code !== 0) throw new Error(`tar failed: ${made.output}`)
  return path
}

// Builds a package of the desktop application for this platform into dist/. `--dir` makes the unpacked folder only, which needs no download
// besides Electron; `--electron-dist DIR` takes an Electron that is already on disk (an unpacked distribution with its `version` file);
// `--output DIR` is used instead of dist/.
import './lib/node-version.mjs'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { root, run } from './lib/processes.mjs'
import { setUpOrExit } from './setup.mjs'

const { values } = parseArgs({
  options: { dir: { type: 'boolean' }, 'electron-dist': { type: 'string' }, output: { type: 'string' } },
})
const given = values['electron-dist']
const absolute = (path) => resolve(process.env.INIT_CWD ?? process.cwd(), path)

await setUpOrExit()
const args = [join(root, 'node_modules', 'electron-builder', 'cli.js'), '--publish', 'never']
if (values.dir) args.push('--dir')
if (given !== undefined) {
  const dist = absolute(given)
  const version = readFileSync(join(dist, 'version'), 'utf8').trim()
  args.push(`-c.electronDist=${dist}`, `-c.electronVersion=${version}`)
}
if (values.output !== undefined) args.push(`-c.directories.output=${absolute(values.output)}`)
const { code } = await run(process.execPath, args, { onOutput: (text) => process.stdout.write(text) })
process.exitCode = code

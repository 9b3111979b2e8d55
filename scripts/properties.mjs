// Random cases for every property: `npm run properties -- [--runs N] [--seed S] [PATH ...]`. N times as many as `npm test` tries, from another
// seed each time. What is found belongs into a test of its own; the printed seed finds it again.
import './lib/node-version.mjs'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from './lib/processes.mjs'
import { setUpOrExit } from './setup.mjs'

const { values, positionals } = parseArgs({
  options: {
    runs: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
  allowPositionals: true,
})
const isNumber = (text) => /^\d{1,9}$/.test(text) || (/^\d{10}$/.test(text) && Number(text) < 2 ** 31)
if (!isNumber(values.runs) || Number(values.runs) === 0 || !isNumber(values.seed)) {
  process.stderr.write('usage: properties.mjs [--runs N] [--seed S] [PATH ...], whole numbers below 2^31\n')
  process.exit(2)
}
await setUpOrExit()

/** Test files that draw cases; a file that imports the library itself is refused by the linter. */
const files = readdirSync(join(root, 'test'), { recursive: true })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name.replaceAll('\\', '/')}`)
  .filter((name) => readFileSync(join(root, name), 'utf8').includes('/tools/properties.ts'))
  .filter((name) => positionals.length === 0 || positionals.some((part) => name.includes(part)))
process.stdout.write(`seed ${values.seed}, ${values.runs} times as many cases, ${files.length} files\n`)
const env = {
  ...process.env,
  QUANTMILL_PROPERTY_RUNS: values.runs,
  QUANTMILL_PROPERTY_SEED: values.seed,
}
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const argv = [vitest, 'run', '--project', 'node', '--testTimeout=0', ...files]
process.exitCode =
  files.length === 0
    ? 2
    : (spawnSync(process.execPath, argv, { stdio: 'inherit', cwd: root, env }).status ?? 1)

// Mutated inputs through every parser: `npm run fuzz -- [--cases N] [--seed S] [--target NAME] [--only I]`. Inputs that fail are kept in
// test/output/fuzz; what they find belongs into test/fuzz/corpus/<target>, so that it is tried first from then on.
import './lib/node-version.mjs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from './lib/processes.mjs'
import { setUpOrExit } from './setup.mjs'

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '200000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    target: { type: 'string' },
    only: { type: 'string' },
  },
})
await setUpOrExit()
process.stdout.write(`seed ${values.seed}\n`)
const env = { ...process.env, QUANTMILL_FUZZ_CASES: values.cases, QUANTMILL_FUZZ_SEED: values.seed }
if (values.target !== undefined) env.QUANTMILL_FUZZ_TARGET = values.target
if (values.only !== undefined) env.QUANTMILL_FUZZ_ONLY = values.only
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const argv = [vitest, 'run', '--project', 'node', 'test/fuzz', '--disable-console-intercept']
process.exitCode = spawnSync(process.execPath, argv, { stdio: 'inherit', cwd: root, env }).status ?? 1

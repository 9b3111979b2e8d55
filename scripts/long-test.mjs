// Tests that run small in `npm test` and large by hand:
//   npm run kill-test -- --kills 60 --seed 1    runs killed at a random moment and continued
//   npm run fault-test                          every file call of a run failing in turn, and threads and process dying there
import './lib/node-version.mjs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, run } from './lib/processes.mjs'
import { setUpOrExit } from './setup.mjs'

const { values, positionals } = parseArgs({
  options: { kills: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' } },
  allowPositionals: true,
})
const FILES = { kill: ['kill-and-resume'], faults: ['file-faults', 'crashes'] }
const files = FILES[positionals[0]]
const isNumber = (text) => /^\d+$/.test(text)
if (files === undefined || !isNumber(values.kills) || !isNumber(values.seed)) {
  process.stderr.write('usage: long-test.mjs kill|faults [--kills N] [--seed N]\n')
  process.exit(2)
}
await setUpOrExit()
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const args = [
  vitest,
  'run',
  '--project',
  'node',
  '--reporter=verbose',
  '--silent=false',
  ...files.map((file) => `test/integration/run/${file}.test.ts`),
]
const env = { QUANTMILL_KILLS: values.kills, QUANTMILL_SEED: values.seed, QUANTMILL_FAULTS: 'all' }
const { code, output } = await run(process.execPath, args, { env })
process.stdout.write(output)
process.exitCode = code

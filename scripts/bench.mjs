// Runs the benchmarks in test/bench, one after the other: `npm run bench [-- name ... --option value ...]`. Options go to every
// benchmark named. Budgets are ratios within one run; an idle machine is assumed.
import './lib/node-version.mjs'
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './lib/processes.mjs'
import { setUpOrExit } from './setup.mjs'

await setUpOrExit()
const argv = process.argv.slice(2)
const firstOption = argv.findIndex((argument) => argument.startsWith('-'))
const wanted = firstOption === -1 ? argv : argv.slice(0, firstOption)
const options = firstOption === -1 ? [] : argv.slice(firstOption)
const files = readdirSync(join(root, 'test', 'bench')).filter((name) => name.endsWith('.bench.mjs'))
for (const file of files) {
  const name = file.replace('.bench.mjs', '')
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stdout.write(`----- ${name}\n`)
  const { status } = spawnSync(process.execPath, [join(root, 'test', 'bench', file), ...options], {
    stdio: 'inherit',
    cwd: root,
  })
  if (status !== 0) process.exitCode = 1
}

// Takes every defence of docs/security.md away, one at a time and in a copy of the tree, and runs the test that is to notice it:
//   npm run security-mutations -- [--only TEXT]
// A defence that nothing misses is an error. Prints a table.
import './lib/node-version.mjs'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MUTATIONS } from '../test/security/mutations/all.mjs'
import { root, run } from './lib/processes.mjs'

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } })
const COPIED = ['assets', 'main', 'renderer', 'scripts', 'shared', 'test']
const COPIED_FILES = ['electron-builder.yml', 'package.json', 'tsconfig.base.json', 'vitest.config.ts']

const mutations = MUTATIONS.filter((mutation) => JSON.stringify(mutation).includes(values.only))
const copy = mkdtempSync(join(tmpdir(), 'quantmill-mutations-'))
const say = (text) => process.stdout.write(text)
try {
  for (const name of [...COPIED, ...COPIED_FILES])
    cpSync(join(root, name), join(copy, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  const untouched = await failuresOf([...new Set(mutations.map(({ test }) => test))])
  if (untouched.failed !== 0 || untouched.passed === 0)
    throw new Error('the tests fail before anything is changed')
  let survivors = 0
  for (const mutation of mutations) {
    const isCaught = await isNoticed(mutation)
    if (!isCaught) survivors += 1
    const { row, removes, test } = mutation
    say(
      `${isCaught ? 'caught  ' : 'SURVIVED'}  ${row.padEnd(14)}  ${removes.padEnd(44)}  ${test.replace(/^test\//, '')}\n`,
    )
  }
  say(`${mutations.length - survivors} of ${mutations.length} removed defences are noticed\n`)
  process.exitCode = survivors === 0 && mutations.length > 0 ? 0 : 1
} finally {
  rmSync(copy, { recursive: true, force: true })
}

async function isNoticed({ file, from, to, test }) {
  const path = join(copy, file)
  const original = readFileSync(path, 'utf8')
  writeFileSync(
    path,
    original.replace(from, () => to),
  )
  try {
    const { failed, passed } = await failuresOf([test])
    // A file that no longer loads would fail whatever it tests: some of it must still pass.
    return failed > 0 && passed + failed > 0
  } finally {
    writeFileSync(path, original)
  }
}

/** Tests that failed by an assertion and those that passed; a file that does not load has neither. */
async function failuresOf(tests) {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const args = [
    vitest,
    'run',
    '--root',
    copy,
    '--project',
    'node',
    '--reporter=json',
    `--outputFile=${report}`,
    ...tests,
  ]
  await run(process.execPath, args, { cwd: copy })
  const { numFailedTests, numPassedTests } = JSON.parse(readFileSync(report, 'utf8'))
  return { failed: numFailedTests, passed: numPassedTests }
}

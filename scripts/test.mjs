// `npm test`: installs and builds what is missing, then runs everything: static checks, tests in Node, the window and the browser. The last line
// is "N passed, M failed, K skipped", over all of them. `--only lint|types|deps|node|e2e` runs one group.
import './lib/node-version.mjs'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureTestElectron } from './electron-runtime.mjs'
import { CHECKS } from './lib/checks.mjs'
import { startVirtualDisplay } from './lib/display.mjs'
import { findElectron } from './lib/electron-binary.mjs'
import { root, run } from './lib/processes.mjs'
import { makeRunFolder } from './lib/run-folder.mjs'
import { ensureSystemPackages, findBrowser, missingLibraries } from './lib/system-packages.mjs'
import { setUp } from './setup.mjs'

const { values } = parseArgs({ options: { only: { type: 'string' } } })
const outputFolder = join(root, 'test', 'output')
const logFolder = join(outputFolder, 'logs')
const FAILURE_LINES = 150

const say = (text) => process.stdout.write(text)
const results = []
const notes = []
const startMs = performance.now()

rmSync(outputFolder, { recursive: true, force: true })
mkdirSync(logFolder, { recursive: true })
const wants = (group) => values.only === undefined || values.only === group
if (await hasSetUp()) {
  const environment = wants('node') || wants('e2e') ? prepareEnvironment() : Promise.resolve({})
  const folder = makeRunFolder()
  try {
    const env = environment.then((found) => ({ ...found, ...folder.env }))
    await Promise.all([runNodeTests(env), runStaticChecks()])
    await runWindowTests(env)
  } finally {
    await checkLeftovers(folder)
  }
}
report()

async function hasSetUp() {
  const from = performance.now()
  const error = await setUp().catch((thrown) => thrown)
  if (error === undefined) return true
  const { message } = error
  finish({
    name: 'set-up',
    passed: 0,
    failed: 1,
    skipped: 0,
    output: message,
    tookMs: performance.now() - from,
  })
  return false
}

/** Electron, system packages and a display. What cannot be had becomes a note here and a skip in the tests. */
async function prepareEnvironment() {
  const electron = await ensureTestElectron({ note: say }).catch((error) => {
    notes.push(`Electron for tests: ${error.message}`)
    return findElectron()
  })
  notes.push(...(await ensureSystemPackages(electron, { note: say })))
  const lacking =
    electron === undefined || process.platform !== 'linux' ? [] : await missingLibraries(electron)
  if (lacking.length > 0) notes.push(`Electron cannot start without ${lacking.join(', ')}`)
  const icd = electron === undefined ? undefined : join(electron, '..', 'vk_swiftshader_icd.json')
  return {
    QUANTMILL_ELECTRON: lacking.length > 0 ? undefined : electron,
    QUANTMILL_CHROMIUM: findBrowser(),
    VK_ICD_FILENAMES: process.env.VK_ICD_FILENAMES ?? (process.platform === 'linux' ? icd : undefined),
    ELECTRON_RUN_AS_NODE: undefined,
    INIT_CWD: undefined,
    FORCE_COLOR: '0',
  }
}

async function runStaticChecks() {
  for (const { name, group, args } of CHECKS) {
    if (!wants(group)) continue
    const { code, output, tookMs } = await timed(() =>
      run(process.execPath, args, { env: { FORCE_COLOR: '0' }, yields: true }),
    )
    finish({ name, passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0, output, tookMs })
  }
}

/** After the other groups, which use the processor all the time: a person's window does not compete with them either. */
async function runWindowTests(environment) {
  if (!wants('e2e')) return
  const env = await environment
  const display = process.platform === 'linux' ? await startVirtualDisplay().catch(noteDisplay) : undefined
  try {
    const shown = { DISPLAY: display?.display, WAYLAND_DISPLAY: undefined }
    const windowed = { ...env, ...(process.platform === 'linux' ? shown : {}) }
    await runVitest('e2e', ['--no-file-parallelism'], { env: windowed })
  } finally {
    display?.stop()
  }
}

async function runNodeTests(environment) {
  if (!wants('node')) return
  const fixed = readFileSync(join(root, 'test', 'tools', 'property-seed.json'), 'utf8')
  notes.push(`properties: seed ${process.env.QUANTMILL_PROPERTY_SEED ?? JSON.parse(fixed).seed}`)
  // Vitest leaves one core to itself, but its own process has little to do.
  const workers = Math.max(2, availableParallelism() - 1)
  await runVitest('node', [`--maxWorkers=${workers}`], { env: await environment, yields: true })
}

/** Every test file removes what it made; what is here in the end belongs to a file that was killed or does not do so. */
async function checkLeftovers(folder) {
  const { output, tookMs } = await timed(() => ({ output: folder.remove() }))
  const failed = output === '' ? 0 : 1
  finish({ name: 'temporary', passed: 1 - failed, failed, skipped: 0, output, tookMs })
}

function noteDisplay(error) {
  notes.push(`no virtual display: ${error.message}`)
  return undefined
}

async function runVitest(project, options, surroundings) {
  const file = join(logFolder, `${project}.json`)
  const args = [
    join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
    ...options,
  ]
  const { code, output, tookMs } = await timed(() => run(process.execPath, args, surroundings))
  finish({ name: `${project} tests`, ...countTests(file, code), output, tookMs })
}

/** A run that ends badly without a failed test (a crash, an unhandled rejection, a file that does not load) is one failure. */
function countTests(file, code) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'))
    const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults)
    const skippedTests = tests.filter(({ status }) => status !== 'passed' && status !== 'failed')
    for (const { fullName } of skippedTests) notes.push(`skipped: ${fullName}`)
    const failed = tests.filter(({ status }) => status === 'failed').length
    const passed = tests.filter(({ status }) => status === 'passed').length
    return { passed, failed: failed === 0 && code !== 0 ? 1 : failed, skipped: skippedTests.length }
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

async function timed(action) {
  const from = performance.now()
  return { ...(await action()), tookMs: performance.now() - from }
}

function finish(result) {
  results.push(result)
  const { name, passed, failed, skipped, output, tookMs } = result
  writeFileSync(join(logFolder, `${name.replaceAll(' ', '-')}.log`), output)
  const parts = [
    `${passed} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ]
  say(
    `${failed === 0 ? 'ok  ' : 'FAIL'}  ${name.padEnd(14)} ${seconds(tookMs).padStart(7)}  ${parts.join(', ')}\n`,
  )
}

function report() {
  const failures = results.filter(({ failed }) => failed > 0)
  for (const { name, output } of failures) {
    say(`\n----- ${name} -----\n${output.trimEnd().split('\n').slice(-FAILURE_LINES).join('\n')}\n`)
  }
  if (notes.length > 0) say(`\n${notes.map((note) => `note: ${note}\n`).join('')}`)
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  say(`\n${seconds(performance.now() - startMs)} in all; logs and screenshots in test/output\n`)
  say(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped\n`)
  process.exitCode = failures.length === 0 && results.length > 0 ? 0 : 1
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`
}

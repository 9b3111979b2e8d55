// `npm start`: installs and builds what is missing, then opens the window. Without Electron or a display it says so and serves the same user
// interface to a browser on this machine. Extra arguments go to whichever is started.
import './lib/node-version.mjs'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { hasDisplay } from './lib/display.mjs'
import { ensureElectron } from './lib/electron-binary.mjs'
import { root } from './lib/processes.mjs'
import { setUpOrExit } from './setup.mjs'

/** An Electron that ends this early with an error never showed its window. */
const EARLY_END_MS = 8_000

/** What Chromium's log puts before a message: process, time, source. */
const LOG_PREFIX = /^\[[^\]]*\]\s*/

/** Chromium complains about desktop services that a plain machine does not run; nothing here needs them. */
const DESKTOP_BUS_NOISE = /:(?:ERROR|WARNING):(?:components\/)?dbus\//

const say = (text) => process.stderr.write(text)
// Set by some editors' terminals; it would turn Electron into plain Node.
delete process.env.ELECTRON_RUN_AS_NODE

await setUpOrExit()
const reason = await openWindow()
if (reason !== undefined) await serveInstead(reason)

/** Resolves undefined when the window was there (and is closed again) or the user ended us, else why it could not be. */
async function openWindow() {
  if (!hasDisplay()) return 'there is no display (DISPLAY and WAYLAND_DISPLAY name none)'
  const electron = await ensureElectron({ note: say })
  if (electron.path === undefined) return electron.reason
  const { code, tookMs, isInterrupted, lastWords } = await runElectron(electron.path)
  if (code === 0 || isInterrupted || tookMs > EARLY_END_MS) {
    process.exitCode = isInterrupted ? 0 : code
    return undefined
  }
  return `Electron ended at once with code ${code}${lastWords === '' ? '' : `: ${lastWords}`}`
}

function runElectron(path) {
  const startMs = performance.now()
  const args = [root, ...process.argv.slice(2)]
  if (process.platform === 'linux' && process.getuid() === 0) {
    say("running as root: Chromium's sandbox does not work for root and is off; an ordinary user has it\n")
    args.unshift('--no-sandbox')
  }
  return new Promise((resolve) => {
    const child = spawn(path, args, { stdio: ['ignore', 'inherit', 'pipe'] })
    let isInterrupted = false
    let lastWords = ''
    const end = (signal) => {
      isInterrupted = true
      child.kill(signal)
    }
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end)
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (DESKTOP_BUS_NOISE.test(line)) return
      say(`${line}\n`)
      lastWords = line.replace(LOG_PREFIX, '').trim().replace(/\.$/, '').slice(0, 200)
    })
    const finish = (code) => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, end)
      resolve({ code, tookMs: performance.now() - startMs, isInterrupted, lastWords })
    }
    child.on('error', (error) => {
      lastWords = error.message
      finish(127)
    })
    child.on('close', (code) => finish(code ?? 1))
  })
}

async function serveInstead(why) {
  say(
    `No window: ${why}.\nServing the same interface to a browser on this machine instead; Ctrl+C ends it.\n`,
  )
  const cli = join(root, 'out', 'main', 'cli.js')
  process.argv = [process.execPath, cli, 'serve']
  await import(pathToFileURL(cli).href)
}

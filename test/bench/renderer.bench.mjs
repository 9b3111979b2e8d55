// The window under load (processor time of the main thread, so that other programs do not count), measured in Chromium on a preview build: script time of a progress update with a 60 x 512 map, longest task and frame
// while a long table scrolls, heap over 2,000 updates, and the time from starting the server to a usable page of the product's build.
// usage: npm run bench -- renderer [--updates 2000]   (QUANTMILL_CHROMIUM names a browser, default /usr/bin/chromium)
import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'

const root = join(import.meta.dirname, '../..')
const { values } = parseArgs({ options: { updates: { type: 'string', default: '2000' } } })
const updates = Number(values.updates)
const LAYERS = 60
const TICK_MS = 25
const TRACE_MS = 8_000
const BOUNDS = { updateMs: 4, frameMs: 50, startMs: 2500, heapGrowth: 0.1 }
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }

const folder = mkdtempSync(join(tmpdir(), 'quantmill-bench-'))
const executablePath = process.env.QUANTMILL_CHROMIUM ?? '/usr/bin/chromium'
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--enable-precise-memory-info'],
})
let server
try {
  const vite = join(root, 'node_modules/vite/bin/vite.js')
  const argv = [vite, 'build', '--config', 'renderer/vite.config.ts', '--mode', 'preview', '--outDir', folder]
  const built = spawnSync(process.execPath, [...argv, '--emptyOutDir', '--logLevel', 'error'], {
    cwd: root,
    encoding: 'utf8',
  })
  if (built.status !== 0) throw new Error(built.stderr)
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost')
    try {
      const bytes = readFileSync(join(folder, pathname === '/' ? 'index.html' : pathname))
      response.writeHead(200, { 'Content-Type': TYPES[extname(pathname)] ?? 'text/html' }).end(bytes)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = `http://127.0.0.1:${server.address().port}/?fake=large&tick=${TICK_MS}&rows=100000&ticks=${Math.ceil(updates / LAYERS)}`

  const run = await measureRun(address)
  const table = await measureTable(address)
  const start = await measureStart()
  const result = {
    bench: 'renderer',
    cpu: cpus()[0].model,
    cores: cpus().length,
    browser: browser.version(),
    bounds: BOUNDS,
    ...run,
    ...table,
    ...start,
  }
  mkdirSync(join(root, 'test/output'), { recursive: true })
  writeFileSync(join(root, 'test/output/bench-renderer.json'), `${JSON.stringify(result, null, 2)}\n`)
  console.log(JSON.stringify(result, null, 2))
  const isWithin =
    run.updateMedianMs <= BOUNDS.updateMs &&
    table.longestTaskMs <= BOUNDS.frameMs &&
    start.startMs <= BOUNDS.startMs &&
    run.heapGrowth <= BOUNDS.heapGrowth
  if (!isWithin) process.exitCode = 1
} finally {
  await browser.close()
  server?.close()
  rmSync(folder, { recursive: true, force: true })
}

async function openPreview(address) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
  await page.goto(address)
  // The preview's library has entries, so that it is in front.
  await page.getByTestId('place-library').waitFor()
  await page.waitForTimeout(1_000)
  await page.getByTestId('step-checkpoint').click()
  await page.getByTestId('open-sample').click()
  await page.getByTestId('next-recipe').waitFor()
  return { page, cdp: await page.context().newCDPSession(page) }
}

/** Events of a trace while `action` runs. */
async function traced(cdp, action) {
  const events = []
  cdp.on('Tracing.dataCollected', ({ value }) => events.push(...value))
  const done = new Promise((resolve) => cdp.once('Tracing.tracingComplete', resolve))
  await cdp.send('Tracing.start', {
    transferMode: 'ReportEvents',
    categories: 'devtools.timeline,disabled-by-default-devtools.timeline,toplevel',
  })
  await action()
  await cdp.send('Tracing.end')
  await done
  return events
}

/** A timer makes each update of the preview, so its event holds everything that the update costs in script. */
async function measureRun(address) {
  const { page, cdp } = await openPreview(address)
  await page.getByTestId('next-recipe').click()
  await page.getByTestId('start-run').click()
  await page.getByTestId('heatmap').waitFor()
  // A quarter of the updates fills the caches, the log and the curve of rates; from there on the heap must stay.
  const quarterMs = (updates * TICK_MS) / 4
  await page.waitForTimeout(quarterMs)
  const heapBefore = await heap(cdp)
  const events = await traced(cdp, () => page.waitForTimeout(TRACE_MS))
  const timers = events
    .filter(({ name, tdur }) => name === 'TimerFire' && tdur !== undefined)
    .map(({ tdur }) => tdur / 1000)
    .filter((durationMs) => durationMs > 0.1)
    .sort((a, b) => a - b)
  await page.waitForTimeout(Math.max(0, 2.6 * quarterMs - TRACE_MS))
  const heapAfter = await heap(cdp)
  await page.close()
  return {
    updates,
    updateMedianMs: timers[Math.floor(timers.length / 2)],
    update95Ms: timers[Math.floor(timers.length * 0.95)],
    measuredUpdates: timers.length,
    heapBeforeBytes: heapBefore,
    heapAfterBytes: heapAfter,
    heapGrowth: heapAfter / heapBefore - 1,
  }
}

async function heap(cdp) {
  await cdp.send('HeapProfiler.collectGarbage')
  return (await cdp.send('Runtime.getHeapUsage')).usedSize
}

async function measureTable(address) {
  const { page, cdp } = await openPreview(address)
  await page.getByTestId('checkpoint-tab-tensors').click()
  const table = page.getByRole('table')
  await page.getByTestId('tensor-row').first().waitFor()
  const rows = Number(await table.getAttribute('aria-rowcount'))
  let frames = []
  const events = await traced(cdp, async () => {
    frames = await page.evaluate(async () => {
      const scroller = document.querySelector('.scroller')
      const gaps = []
      let last = performance.now()
      for (let frame = 0; frame < 300; frame += 1) {
        // Steps of some rows, and every 30th frame a jump to another part of the list.
        scroller.scrollTop =
          frame % 30 === 29 ? (scroller.scrollHeight * frame) / 300 : scroller.scrollTop + 180
        await new Promise((resolve) => requestAnimationFrame(resolve))
        const now = performance.now()
        gaps.push(now - last)
        last = now
      }
      return gaps
    })
  })
  // The page's main thread is the one that runs its animation frames.
  const thread = events.find(({ name }) => name === 'FireAnimationFrame')
  const tasks = events
    .filter(
      ({ name, tid, pid, tdur }) =>
        name.includes('RunTask') && tid === thread?.tid && pid === thread?.pid && tdur !== undefined,
    )
    .map(({ tdur }) => tdur / 1000)
  await page.close()
  return {
    tableRows: rows,
    longestTaskMs: Math.max(0, ...tasks),
    scrollTasks: tasks.length,
    longestFrameMs: Math.max(...frames),
  }
}

async function measureStart() {
  const home = mkdtempSync(join(tmpdir(), 'quantmill-bench-'))
  const page = await browser.newPage()
  const begin = performance.now()
  const served = spawn(process.execPath, ['out/main/cli.js', 'serve', '--port', '0'], {
    cwd: root,
    env: { ...process.env, HOME: home, XDG_CONFIG_HOME: join(home, 'config') },
  })
  try {
    const url = await new Promise((resolve, reject) => {
      served.stdout.on('data', (data) => {
        const found = /http:\/\/\S+/.exec(String(data))
        if (found) resolve(found[0])
      })
      served.on('exit', () => reject(new Error('the server ended')))
    })
    const servedMs = performance.now() - begin
    await page.goto(url)
    await page.getByTestId('open-sample').waitFor()
    return { servedMs, startMs: performance.now() - begin }
  } finally {
    served.kill()
    await page.close()
    rmSync(home, { recursive: true, force: true })
  }
}

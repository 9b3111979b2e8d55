// `npm run screenshots`: pictures of the views in both themes and two sizes into docs/screenshots, from the application as it is built: the sample,
// run by the real engine through the browser interface, and a synthetic model of 60 layers x 512 experts from the preview build.
import './lib/node-version.mjs'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, normalize } from 'node:path'
import { chromium } from 'playwright-core'
import { root, run } from './lib/processes.mjs'
import { findBrowser } from './lib/system-packages.mjs'
import { setUpOrExit } from './setup.mjs'

const OUTPUT = join(root, 'docs', 'screenshots')
const THEMES = ['light', 'dark']
const SIZES = [
  { width: 1280, height: 800 },
  { width: 1920, height: 1080 },
]
/** Views of the sample that name folders of this machine are left out, and views that the preview has no answers for. */
const VIEWS = {
  large: ['library', 'checkpoint', 'recipe', 'run', 'settings'],
  sample: ['recipe', 'run', 'settings'],
}
const PLACES = ['library', 'settings']
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }
const ADDRESS = /http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+/

await setUpOrExit()
const browserPath = findBrowser()
if (browserPath === undefined) {
  process.stderr.write('error ENVIRONMENT there is no Chromium (QUANTMILL_CHROMIUM)\n')
  process.exit(3)
}
const scratch = mkdtempSync(join(tmpdir(), 'quantmill-pictures-'))
mkdirSync(OUTPUT, { recursive: true })
const browser = await chromium.launch({
  executablePath: browserPath,
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
})
try {
  await withPreview(async (address) => {
    const page = await browser.newPage({ locale: 'en-US', reducedMotion: 'reduce' })
    await page.goto(`${address}?fake=large&outcome=findings&tick=2`)
    await takeAll(page, 'large', 'library-view')
  })
  await withServer(async (address) => {
    const page = await browser.newPage({ locale: 'en-US', reducedMotion: 'reduce' })
    await page.goto(address)
    await takeAll(page, 'sample', 'open-sample')
  })
} finally {
  await browser.close()
  rmSync(scratch, { recursive: true, force: true })
}

/** The job once, then every view in every theme and size. */
async function takeAll(page, source, first) {
  await page.setViewportSize(SIZES[0])
  await page.getByTestId(first).waitFor()
  await page.keyboard.press('s')
  await page.getByTestId('next-recipe').click()
  await page.locator('[data-testid="start-run"]:not([aria-disabled])').click()
  await page.getByTestId('report-view').waitFor({ timeout: 300_000 })
  for (const theme of THEMES) {
    await page.emulateMedia({ colorScheme: theme })
    for (const size of SIZES) {
      await page.setViewportSize(size)
      for (const view of VIEWS[source]) {
        const testId = PLACES.includes(view) ? `place-${view}` : `step-${view}`
        await page.getByTestId(testId).click()
        await page.getByTestId(`${view}-view`).waitFor()
        await page.mouse.move(0, 0)
        await page.waitForTimeout(400)
        await page.screenshot({ path: join(OUTPUT, `${source}-${view}-${theme}-${size.width}.png`) })
      }
    }
  }
  process.stdout.write(`docs/screenshots: ${source}\n`)
}

/** The preview build as files from a server of its own. */
async function withPreview(use) {
  const folder = join(scratch, 'preview')
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  const config = ['--config', 'renderer/vite.config.ts', '--mode', 'preview', '--outDir', folder]
  const { code, output } = await run(process.execPath, [vite, 'build', ...config])
  if (code !== 0) throw new Error(output)
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1')
    const file = pathname === '/' ? 'index.html' : normalize(pathname)
    try {
      const bytes = readFileSync(join(folder, file))
      response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' })
      response.end(bytes)
    } catch {
      response.writeHead(404)
      response.end()
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await use(`http://127.0.0.1:${server.address().port}/`)
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

/** `quantmill serve` with a home of its own, so that no setting and no folder of this machine is in the pictures. */
async function withServer(use) {
  const child = spawn(process.execPath, [join(root, 'scripts', 'quantmill.mjs'), 'serve'], {
    cwd: root,
    env: { ...process.env, HOME: scratch, XDG_CONFIG_HOME: join(scratch, '.config') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  try {
    const address = await new Promise((resolve, reject) => {
      let output = ''
      child.stdout.on('data', (chunk) => {
        output += chunk.toString()
        const found = ADDRESS.exec(output)
        if (found !== null) resolve(found[0])
      })
      void ended.then(() => reject(new Error(`it ended without an address: ${output}`)))
    })
    await use(address)
  } finally {
    child.kill('SIGINT')
    await ended
  }
}

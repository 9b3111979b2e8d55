// `npm run screenshots`: every view in both themes and two sizes into docs/screenshots, from the application in Electron, after runs of the real
// engine: on the sample, and on a synthetic model of 60 layers with 512 experts each (small matrices: 190 MB). Takes some minutes.
import './lib/node-version.mjs'
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { _electron } from 'playwright-core'
import { ensureTestElectron } from './electron-runtime.mjs'
import { hasDisplay, startVirtualDisplay } from './lib/display.mjs'
import { findElectron } from './lib/electron-binary.mjs'
import { root } from './lib/processes.mjs'
import { smallerPng } from './lib/smaller-png.mjs'
import { setUpOrExit } from './setup.mjs'

const OUTPUT = join(root, 'docs', 'screenshots')
const THEMES = ['light', 'dark']
const SIZES = [
  { width: 1280, height: 800 },
  { width: 1920, height: 1080 },
]
const VIEWS = ['checkpoint', 'recipe', 'run', 'report', 'compare']
/** The same for both models, so they are taken once, after both. */
const PLACES = ['library', 'settings', 'palette']
const LARGE = 'synthetic-60x512'
const LARGE_NUMBERS = {
  layerCount: 60,
  expertCount: 512,
  topK: 10,
  hiddenSize: 64,
  expertWidth: 16,
  sharedExpertWidth: 32,
  headCount: 2,
  kvHeadCount: 1,
  linearKeyHeadCount: 2,
  linearValueHeadCount: 4,
}
const RUN_LIMIT_MS = 900_000

await setUpOrExit()
const electronPath =
  process.env.QUANTMILL_ELECTRON ??
  findElectron() ??
  (await ensureTestElectron({ note: (text) => process.stderr.write(text) }))
// The same name every time: it is in the pictures.
const scratch = join(tmpdir(), 'quantmill-pictures')
mkdirSync(scratch)
const application = copyApplication()
const display = hasDisplay() ? undefined : await startVirtualDisplay('1920x1080')
try {
  await writeLargeModel()
  const app = await openApp()
  try {
    const page = await app.firstWindow()
    await page.emulateMedia({ reducedMotion: 'reduce' })
    for (const name of readdirSync(OUTPUT)) if (name.endsWith('.png')) rmSync(join(OUTPUT, name))
    await page.getByTestId('open-sample').click()
    await page.getByTestId('next-recipe').click()
    await runAndCompare(page)
    await takeAll(app, page, 'sample', VIEWS)
    await openLargeModel(app, page)
    await page.getByTestId('next-recipe').click()
    await page.getByTestId('option-samples').fill('16')
    await page.getByTestId('option-sequence').fill('128')
    await runAndCompare(page)
    await takeAll(app, page, 'large', VIEWS)
    await takeAll(app, page, 'window', PLACES)
  } finally {
    await app.close()
  }
} finally {
  display?.stop()
  rmSync(scratch, { recursive: true, force: true })
}

/** Below the home folder of the pictures: the sample's path is in them. */
function copyApplication() {
  const folder = join(scratch, 'quantmill')
  for (const part of ['package.json', 'out', 'assets/sample'])
    cpSync(join(root, part), join(folder, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
  return folder
}

/** By the engine's own generator, built for the occasion: the command line has no option for shapes that nobody released. */
async function writeLargeModel() {
  const { build } = await import('vite')
  const entry = join(root, 'main/engine/io/node/write-sample-checkpoint.ts')
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: { ssr: entry, outDir: join(scratch, 'generator') },
    ssr: { noExternal: true },
  })
  const built = readdirSync(join(scratch, 'generator')).find((name) => /^write-sample.*\.m?js$/.test(name))
  const { writeSampleCheckpoint } = await import(pathToFileURL(join(scratch, 'generator', built)).href)
  await writeSampleCheckpoint({
    shape: 'tiny',
    folder: join(scratch, 'models', LARGE),
    tokenizerFolder: join(root, 'assets', 'sample', 'tiny-qwen3.5-moe'),
    maxShardBytes: 20_000_000,
    numbers: LARGE_NUMBERS,
    hasVision: false,
    mtpLayout: 'none',
  })
}

/** With a home of its own, so that no setting and no folder of this machine is in the pictures. */
function openApp() {
  return _electron.launch({
    executablePath: electronPath,
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      application,
      `--data-folder=${join(scratch, 'data')}`,
      `--exports-folder=${join(scratch, 'exports')}`,
      '--lang=en-US',
    ],
    env: { ...process.env, HOME: scratch, ...(display === undefined ? {} : { DISPLAY: display.display }) },
    timeout: 60_000,
  })
}

/** Through the dialog, which answers instead of a person. */
async function openLargeModel(app, page) {
  await app.evaluate(
    ({ dialog }, path) => {
      dialog.showOpenDialog = () => Promise.resolve({ canceled: false, filePaths: [path] })
    },
    join(scratch, 'models', LARGE),
  )
  await page.getByTestId('place-library').click()
  await page.getByTestId('library-open-folder').click()
  await page.getByTestId('checkpoint-view').getByText(LARGE).first().waitFor()
}

/** The job from a chosen recipe to its verified export, and the export beside its source. */
async function runAndCompare(page) {
  await page.locator('[data-testid="start-run"]:not([aria-disabled])').click()
  await page.getByTestId('report-view').waitFor({ timeout: RUN_LIMIT_MS })
  await page.getByTestId('verification-verdict').waitFor({ timeout: RUN_LIMIT_MS })
  await page.getByTestId('compare-source').click()
  await page.getByTestId('compare-result').waitFor({ timeout: RUN_LIMIT_MS })
}

async function takeAll(app, page, source, views) {
  for (const theme of THEMES) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    for (const size of SIZES) {
      await page.setViewportSize(size)
      for (const view of views) {
        await show(page, view)
        await page.mouse.move(0, 0)
        await page.waitForTimeout(400)
        const picture = await page.screenshot()
        writeFileSync(join(OUTPUT, `${source}-${view}-${theme}-${size.width}.png`), smallerPng(picture))
        if (view === 'palette') await page.keyboard.press('Escape')
      }
    }
  }
  process.stdout.write(`docs/screenshots: ${source} ${views.join(', ')}\n`)
}

async function show(page, view) {
  if (view === 'palette') {
    await page.keyboard.press('Control+k')
    await page.getByTestId('command-palette').waitFor()
    return
  }
  const step = page.getByTestId(`step-${view}`)
  await ((await step.count()) > 0 ? step : page.getByTestId(`place-${view}`)).click()
  await page.getByTestId(`${view}-view`).waitFor()
}

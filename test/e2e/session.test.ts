/**
 * What is not the straight way through the window, in one session in a browser: a disk that is full in the middle, runs that wait for each other,
 * reports of earlier exports, comparing without a pointer. What happened and how to go on must be understood from the screen alone.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../tools/temporary-folder.ts'
import { accessibilityFaults } from './support/accessibility.ts'
import { checkSampleExport } from './support/check-export.ts'
import { announceSkip, chromiumPath, IS_ROOT, noBrowserReason, screenshot } from './support/environment.ts'
import { byPalette, tabTo } from './support/keyboard-job.ts'
import { EXPORT_NAME, prepareSample } from './support/sample-job.ts'
import { serve, type Served } from './support/server.ts'

announceSkip('session in the browser', noBrowserReason)

const DATA_FREE = 'nvfp4_experts_only_input_scale1-kv_fp8_cast'

describe.skipIf(noBrowserReason !== undefined)('one session', () => {
  let folder: string
  let fullDisk: string
  let served: Served
  let browser: Browser
  let page: Page
  const complaints: string[] = []

  const expectAccessible = async (what: string): Promise<void> => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await accessibilityFaults(page), `${what}, ${colorScheme}`).toEqual([])
      await screenshot(page, `session-${colorScheme}-${what}`)
    }
  }

  beforeAll(async () => {
    folder = await temporaryFolder()
    fullDisk = join(folder, 'full')
    const fault = pathToFileURL(join(import.meta.dirname, 'support/full-disk.mjs'))
    fault.searchParams.set('flag', fullDisk)
    served = await serve(['scripts/quantmill.mjs', 'serve'], {
      HOME: folder,
      NODE_OPTIONS: `--import=${fault.href}`,
    })
    browser = await chromium.launch({
      executablePath: chromiumPath ?? '',
      args: IS_ROOT ? ['--no-sandbox'] : [],
    })
    page = await browser.newPage({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' })
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(served.url)
  })

  afterAll(async () => {
    await browser.close()
    await served.stop()
  })

  test('empty views say what belongs there and lead on', async () => {
    for (const [key, view] of [
      ['l', 'library'],
      ['2', 'recipe'],
      ['3', 'run'],
      ['4', 'report'],
      ['c', 'compare'],
    ] as const) {
      await page.keyboard.press(key)
      await page.getByTestId(`${view}-view`).waitFor()
      await expectAccessible(`empty-${view}`)
    }
    await page.keyboard.press('1')
  })

  test('a full disk: what happened, what is kept, and how to go on', async () => {
    await writeFile(fullDisk, '')
    await prepareSample(page)
    await page.getByTestId('option-samples').fill('4')
    await page.locator('[data-testid="start-run"]:not([aria-disabled])').click()
    const card = page.getByTestId('error-card')
    await card.waitFor({ timeout: 60_000 })
    const said = await card.innerText()
    expect(said).toContain('The disk is full.')
    expect(said).toContain('Free some space')
    expect(said).toContain('What was finished is kept')
    expect(said).toContain('DISK_FULL')
    await expectAccessible('disk-full')
    // Another page knows nothing of the request: the way on is the library.
    await page.reload()
    await page.getByTestId('step-run').click()
    await page.getByTestId('to-library').click()
    expect(await page.getByTestId('partial-runs').innerText()).toMatch(/\d+ of \d+ tasks/)
    await expectAccessible('library-unfinished')
    await rm(fullDisk)
    await tabTo(page, 'resume-partial')
    await page.keyboard.press('Enter')
    await page.getByTestId('report-view').waitFor({ timeout: 60_000 })
    await page.getByTestId('verification-verdict').waitFor()
    await checkSampleExport(join(folder, 'Quantmill', EXPORT_NAME))
  })

  test('a second run waits, and begins by itself when the first has ended', async () => {
    await page.keyboard.press('1')
    await prepareSample(page)
    await page.getByTestId('output-name').fill('first')
    await page.getByTestId('option-samples').fill('4000')
    await page.locator('[data-testid="start-run"]:not([aria-disabled])').click()
    await page.getByTestId('run-view').waitFor()
    await page.keyboard.press('2')
    await page.getByTestId(`recipe-${DATA_FREE}`).click()
    await page.getByTestId('output-name').fill('second')
    await page.locator('[data-testid="start-run"]:not([aria-disabled])').click()
    await page.getByText('This run is the next').waitFor()
    expect(await page.getByTestId('run-queue').innerText()).toContain(DATA_FREE)
    await expectAccessible('queue')
    await page.getByRole('button', { name: /^nvfp4_experts_only-kv_fp8\s*Running/ }).click()
    await page.getByTestId('cancel-run').click()
    await page.getByText('Cancelled', { exact: true }).first().waitFor()
    await page
      .getByRole('button', { name: new RegExp(`^${DATA_FREE}\\s*Finished`) })
      .click({ timeout: 60_000 })
    await page.getByTestId('show-report').click()
    expect(await page.getByTestId('report-path').textContent()).toContain('second')
  })

  test('the report of an earlier export opens from the library', async () => {
    await page.keyboard.press('l')
    const row = page.getByTestId(`library-${EXPORT_NAME}`)
    await row.getByTestId('open-entry').click()
    await page.getByTestId('report-verdict').waitFor()
    expect(await page.getByTestId('report-path').textContent()).toBe(`~/Quantmill/${EXPORT_NAME}`)
    expect(await page.getByTestId('serve-vllm').innerText()).toContain(
      `vllm serve ${join(folder, 'Quantmill', EXPORT_NAME)} --quantization modelopt_fp4 --kv-cache-dtype fp8`,
    )
    expect(await page.getByTestId('verification-verdict').textContent()).toBe('sound')
    await expectAccessible('report-of-export')
    const saving = page.waitForEvent('download')
    await page.getByTestId('save-page').click()
    expect((await saving).suggestedFilename()).toBe(`${EXPORT_NAME}.html`)
    await page.getByTestId('run-report').click()
    expect(await page.getByTestId('report-path').textContent()).toContain('second')
    await expectAccessible('report-of-run')
  })

  test('two exports are compared without a pointer', async () => {
    await byPalette(page, 'go to compare')
    await page.getByTestId('compare-view').waitFor()
    await tabTo(page, 'compare-left')
    await page.keyboard.type('second')
    await tabTo(page, 'compare-right')
    await page.keyboard.type(EXPORT_NAME)
    await page.keyboard.press('Control+Enter')
    await page.getByTestId('compare-result').waitFor()
    // The same weights in the same format: only activation scales and descriptions differ.
    expect(await page.getByTestId('compare-result').innerText()).toContain(
      'NVFP4 / NVFP4\t384 matrices\t384 equal',
    )
    await tabTo(page, 'heatmap')
    await page.keyboard.press('ArrowRight')
    expect(await page.getByTestId('heatmap-reading').textContent()).toContain('relative error 0 %')
    await expectAccessible('compare')
  })

  test('settings are accessible, and the page has complained about nothing', async () => {
    await byPalette(page, 'go to settings')
    await expectAccessible('settings')
    expect(complaints).toEqual([])
  })
})

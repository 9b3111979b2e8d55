/** The same job in a browser, through `quantmill serve`: no native dialogs, no preload script, the session from the printed address. */
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { accessibilityFaults } from './support/accessibility.ts'
import { checkShardedSampleExport } from './support/check-export.ts'
import { announceSkip, chromiumPath, IS_ROOT, noBrowserReason, screenshot } from './support/environment.ts'
import { EXPORT_NAME, prepareSample, runSample } from './support/sample-job.ts'
import { serve, type Served } from './support/server.ts'

announceSkip('browser', noBrowserReason)

describe.skipIf(noBrowserReason !== undefined)('the job in a browser', () => {
  let served: Served
  let browser: Browser
  let page: Page
  const complaints: string[] = []
  const foreign: string[] = []

  beforeAll(async () => {
    served = await serve(['scripts/quantmill.mjs', 'serve'])
    browser = await chromium.launch({
      executablePath: chromiumPath ?? '',
      args: IS_ROOT ? ['--no-sandbox'] : [],
    })
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => {
      if (!request.url().startsWith(new URL(served.url).origin)) foreign.push(request.url())
    })
    await page.goto(served.url)
  })

  afterAll(async () => {
    await browser.close()
    await served.stop()
  })

  test('from the sample to a finished export of several shards', async () => {
    const shown = await runSample(page, 'browser', '0.004')
    expect(shown).toContain(EXPORT_NAME)
    await checkShardedSampleExport(join(served.homeFolder, 'Quantmill', EXPORT_NAME))
  })

  test('a reload keeps the session and the finished run', async () => {
    await page.reload()
    await page.getByTestId('step-report').click()
    expect(await page.getByTestId('report-path').textContent()).toContain(EXPORT_NAME)
  })

  test.each(['light', 'dark'] as const)('every view is accessible, %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    for (const step of ['checkpoint', 'recipe', 'run', 'report']) {
      await page.getByTestId(`step-${step}`).click()
      await page.getByTestId(`${step}-view`).waitFor()
      expect(await accessibilityFaults(page), step).toEqual([])
      await screenshot(page, `browser-${colorScheme}-${step}`)
    }
    await page.emulateMedia({ colorScheme: 'light' })
  })

  test('a folder is chosen from a list, because a browser has no paths', async () => {
    await page.getByTestId('step-checkpoint').click()
    await page.getByTestId('open-folder').click()
    await page.getByRole('dialog').waitFor()
    await screenshot(page, 'browser-5-folders')
    await page.keyboard.press('Escape')
  })

  test('problems that were found together are all shown', async () => {
    const problem = (subject: string) => ({ subject, problem: 'it is in the way', remedy: 'remove it' })
    const error = { code: 'DISK_FULL', kind: 'environment', ...problem('first') }
    const further = [problem('second'), problem('third')].map((other) => ({ ...error, ...other }))
    await page.route('**/api/request', (route) =>
      (route.request().postDataJSON() as { route: string }).route === 'job.start'
        ? route.fulfill({ json: { ok: false, error: { ...error, further } } })
        : route.continue(),
    )
    await page.getByTestId('step-checkpoint').click()
    await prepareSample(page)
    await page.getByTestId('start-run').click()
    await page.getByTestId('error-card').waitFor()
    expect(await page.getByTestId('further-problems').locator('li').allInnerTexts()).toEqual([
      'second It is in the way. Remove it.',
      'third It is in the way. Remove it.',
    ])
    expect(await accessibilityFaults(page)).toEqual([])
    await screenshot(page, 'browser-6-problems')
    await page.unroute('**/api/request')
  })

  test('the page has complained about nothing and asked nobody else', () => {
    expect(complaints).toEqual([])
    expect(foreign.filter((url) => !url.startsWith('data:'))).toEqual([])
  })
})

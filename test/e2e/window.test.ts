/**
 * The whole job in a real Electron window: open the sample, choose a recipe, run, look at the result, and the export on disk. Also the two ways in
 * which a run ends early. Whatever is wired wrongly between renderer, preload, main, host and workers fails here.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkSampleExport } from './support/check-export.ts'
import { announceSkip, noWindowReason, screenshot } from './support/environment.ts'
import { EXPORT_NAME, runSample, startLongRun } from './support/sample-job.ts'
import { hostPidOf, isAlive, openWindow, type Window } from './support/window.ts'

announceSkip('window', noWindowReason)

describe.skipIf(noWindowReason !== undefined)('the job in the window', () => {
  let window: Window
  beforeAll(async () => {
    window = await openWindow()
  })
  afterAll(() => window.app.close())

  test('from the sample to a finished export', async () => {
    const shown = await runSample(window.page, 'window')
    expect(shown).toContain(EXPORT_NAME)
    await checkSampleExport(join(window.exportsFolder, EXPORT_NAME))
  })

  test('the page has complained about nothing', () => {
    expect(window.complaints).toEqual([])
  })

  test('the same output name again is refused in words, not overwritten', async () => {
    await window.page.getByTestId('step-recipe').click()
    await window.page.getByTestId('start-run').click()
    await window.page.getByTestId('error-card').waitFor()
    expect(await window.page.getByTestId('error-card').textContent()).toContain('OUTPUT_NOT_EMPTY')
    await screenshot(window.page, 'window-5-refused')
    await checkSampleExport(join(window.exportsFolder, EXPORT_NAME))
  })
})

describe.skipIf(noWindowReason !== undefined)('a run that ends early', () => {
  test('cancel publishes nothing, and another run may take its place', async () => {
    const { app, page, exportsFolder } = await openWindow()
    try {
      await startLongRun(page)
      await page.getByTestId('cancel-run').click()
      await page.getByText('Cancelled', { exact: true }).first().waitFor()
      await screenshot(page, 'window-6-cancelled')
      expect(existsSync(join(exportsFolder, EXPORT_NAME))).toBe(false)
      await page.getByTestId('step-recipe').click()
      await page.getByTestId('option-samples').fill('4')
      await page.getByTestId('start-run').click()
      await page.getByTestId('replace-output').click()
      await page.getByTestId('confirm-replace').click()
      await page.getByTestId('report-view').waitFor({ timeout: 60_000 })
      await checkSampleExport(join(exportsFolder, EXPORT_NAME))
    } finally {
      await app.close()
    }
  })

  test('quitting in the middle asks, stops the host and publishes nothing', async () => {
    const { app, page, exportsFolder, pid } = await openWindow()
    await startLongRun(page)
    const hostPid = await hostPidOf({ app })
    expect(isAlive(hostPid)).toBe(true)
    const child = app.process()
    const ended = new Promise<[number | null, string | null]>((resolve) => {
      child.once('exit', (code, signal) => resolve([code, signal]))
    })
    await app.evaluate(({ app: main, dialog }) => {
      const asked = globalThis as { questions?: string[] }
      asked.questions = []
      // The person at the screen: the first button, "cancel the run and quit".
      dialog.showMessageBox = ((_window: unknown, { message }: { message: string }) => {
        asked.questions?.push(message)
        return Promise.resolve({ response: 0, checkboxChecked: false })
      }) as typeof dialog.showMessageBox
      setTimeout(() => main.quit(), 0)
    })
    expect(await ended).toEqual([0, null])
    expect([isAlive(pid), isAlive(hostPid)]).toEqual([false, false])
    expect(existsSync(join(exportsFolder, EXPORT_NAME))).toBe(false)
  })
})

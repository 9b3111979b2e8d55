/** The whole application killed in the middle of a calibration: the next start shows the unfinished run first, and one press finishes it. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../tools/temporary-folder.ts'
import { checkSampleExport } from './support/check-export.ts'
import { announceSkip, noWindowReason, screenshot } from './support/environment.ts'
import { tabTo } from './support/keyboard-job.ts'
import { EXPORT_NAME, startLongRun } from './support/sample-job.ts'
import { isAlive, openWindow } from './support/window.ts'

announceSkip('kill and resume in the window', noWindowReason)

describe.skipIf(noWindowReason !== undefined)('after SIGKILL', () => {
  test('the library continues the run', async () => {
    const folder = await temporaryFolder()
    const killed = await openWindow(folder)
    await startLongRun(killed.page, 16)
    const hostPid = await killed.app.evaluate(
      ({ app }) => app.getAppMetrics().find(({ name }) => name === 'Quantmill engine host')?.pid ?? 0,
    )
    const gone = new Promise((resolve) => killed.app.process().once('exit', resolve))
    process.kill(killed.pid, 'SIGKILL')
    await gone
    await expect.poll(() => isAlive(hostPid), { timeout: 20_000 }).toBe(false)

    const { app, page, exportsFolder, complaints } = await openWindow(folder)
    try {
      await page.getByTestId('library-view').waitFor()
      expect(await page.getByTestId('partial-runs').innerText()).toContain(EXPORT_NAME)
      await screenshot(page, 'window-7-killed')
      await tabTo(page, 'resume-partial')
      await page.keyboard.press('Enter')
      await page.getByTestId('report-view').waitFor({ timeout: 120_000 })
      await checkSampleExport(join(exportsFolder, EXPORT_NAME))
      expect(complaints).toEqual([])
    } finally {
      await app.close()
    }
  })
})

/**
 * The engine host dies in the middle of a run, as native code can make it: the window stays, says so and offers to continue, and the continued
 * run writes the bytes of an undisturbed one. A window that waits for a host that is gone, or starts the run anew, would show here.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { hashExport } from '../tools/run-for-test.ts'
import { announceSkip, noWindowReason, screenshot } from './support/environment.ts'
import { EXPORT_NAME, startLongRun } from './support/sample-job.ts'
import { hostPidOf, isAlive, openWindow } from './support/window.ts'

announceSkip('crash of the engine host', noWindowReason)

/** Long enough to be hit in its middle, short enough to be done twice. */
const SAMPLES = 20

describe.skipIf(noWindowReason !== undefined)('the engine host dies while a run calibrates', () => {
  test('the window stays and offers to continue, to the same bytes', async () => {
    const { app, page, exportsFolder, pid } = await openWindow()
    try {
      await startLongRun(page, SAMPLES)
      const journal = join(exportsFolder, `${EXPORT_NAME}.partial`, 'quantmill/journal.jsonl')
      const keptLayers = async (): Promise<number> =>
        existsSync(journal) ? (await readFile(journal, 'utf8')).split('"boundary"').length - 1 : 0
      await expect.poll(keptLayers, { timeout: 60_000 }).toBeGreaterThan(0)
      const hostPid = await hostPidOf({ app })
      process.kill(hostPid, 'SIGKILL')
      await page.getByTestId('run-state').and(page.locator('[data-state="failed"]')).waitFor()
      await screenshot(page, 'window-7-host-crash')
      expect(await page.getByTestId('error-card').textContent()).toContain('HOST_CRASHED')
      expect([isAlive(pid), isAlive(hostPid)]).toEqual([true, false])
      expect(existsSync(join(exportsFolder, EXPORT_NAME))).toBe(false)

      await page.getByTestId('resume-run').click()
      await page.getByTestId('report-view').waitFor({ timeout: 120_000 })
      const log = await readFile(join(exportsFolder, EXPORT_NAME, 'quantmill/job.log.jsonl'), 'utf8')
      expect(log).toMatch(/continuing calibration: [1-4] of 4 layers were finished before/)
      const continued = await hashExport(join(exportsFolder, EXPORT_NAME))

      await page.getByTestId('step-recipe').click()
      await page.getByTestId('output-name').fill('undisturbed')
      await page.getByTestId('start-run').click()
      await page.getByTestId('run-view').waitFor()
      await page.getByTestId('report-view').waitFor({ timeout: 120_000 })
      expect(await hashExport(join(exportsFolder, 'undisturbed'))).toEqual(continued)
    } finally {
      await app.close()
    }
  })
})

/**
 * Ends of the window in the middle of a calibration: quit, closed window, signal of the system, sleep. Exit code as designed, no abort of native
 * code, nothing left running, and a state on disk that can be continued. Each QUANTMILL_QUITS times (default 1; by hand 10).
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { listPartials } from '../../main/host/jobs/partial-runs.ts'
import { announceSkip, noWindowReason } from './support/environment.ts'
import { EXPORT_NAME, startLongRun } from './support/sample-job.ts'
import { hostPidOf, isAlive, openWindow, type Window } from './support/window.ts'

announceSkip('early ends of the window', noWindowReason)
const TIMES = Number(process.env['QUANTMILL_QUITS'] ?? 1)

/** The person at the screen presses the first button, which stops the run. */
function answerDialogs({ app }: Window): Promise<void> {
  return app.evaluate(({ dialog }) => {
    dialog.showMessageBox = (() =>
      Promise.resolve({ response: 0, checkboxChecked: false })) as typeof dialog.showMessageBox
  })
}

const ENDS: readonly (readonly [string, number, (window: Window) => Promise<unknown>])[] = [
  [
    'quit',
    0,
    ({ app }) =>
      app.evaluate(
        ({ app: main }) =>
          void setTimeout(() => {
            main.quit()
          }, 0),
      ),
  ],
  [
    'window closed',
    0,
    ({ app }) =>
      app.evaluate(
        ({ BrowserWindow }) =>
          void setTimeout(() => {
            BrowserWindow.getAllWindows()[0]?.close()
          }, 0),
      ),
  ],
  ['SIGTERM', 143, ({ app }) => Promise.resolve(app.process().kill('SIGTERM'))],
]

describe.skipIf(noWindowReason !== undefined)('in the middle of a calibration', () => {
  test.each(ENDS)(
    '%s ends with %i and can be continued',
    { timeout: TIMES * 120_000 },
    async (_name, code, end) => {
      for (let time = 0; time < TIMES; time += 1) {
        const window = await openWindow()
        await startLongRun(window.page)
        await answerDialogs(window)
        const hostPid = await hostPidOf(window)
        expect(isAlive(hostPid)).toBe(true)
        const ended = new Promise<[number | null, string | null]>((resolve) => {
          window.app.process().once('exit', (exitCode, signal) => {
            resolve([exitCode, signal])
          })
        })
        await end(window)
        expect(await ended).toEqual([code, null])
        expect([isAlive(window.pid), isAlive(hostPid)]).toEqual([false, false])
        expect(existsSync(join(window.exportsFolder, EXPORT_NAME))).toBe(false)
        expect(await listPartials([window.exportsFolder])).toMatchObject([
          {
            state: 'resumable',
            outputPath: join(window.exportsFolder, EXPORT_NAME),
            recorded: { options: { samples: 4000 } },
          },
        ])
      }
    },
  )

  test('sleep pauses the run, waking continues it, and P pauses it as well', async () => {
    const window = await openWindow()
    try {
      await startLongRun(window.page)
      const state = window.page.getByTestId('run-state')
      const until = (kind: string): Promise<void> =>
        state.and(window.page.locator(`[data-state="${kind}"]`)).waitFor({ timeout: 30_000 })
      await window.app.evaluate(({ powerMonitor }) => void powerMonitor.emit('suspend'))
      await until('paused')
      await window.app.evaluate(({ powerMonitor }) => void powerMonitor.emit('resume'))
      await until('running')
      await window.page.keyboard.press('p')
      await until('paused')
      await window.app.evaluate(({ powerMonitor }) => void powerMonitor.emit('resume'))
      await window.page.getByTestId('continue-run').click()
      await until('running')
      await window.page.getByTestId('cancel-run').click()
      await until('cancelled')
    } finally {
      await window.app.close()
    }
  })
})

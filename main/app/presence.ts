/** Connects runs to the desktop: taskbar, sleep, notifications. What decides is in run-presence.ts. */
import { Notification, powerSaveBlocker } from 'electron'
import type { JobSnapshot } from '../../shared/domain/job.ts'
import type { AppModule } from './app-module.ts'
import { RunPresence } from './run-presence.ts'

export const presenceModule: AppModule = {
  enable({ events, windows }) {
    const presence = new RunPresence({
      setProgress: (share, mode) => {
        windows.main?.setProgressBar(share, { mode })
      },
      preventSleep: () => {
        const id = powerSaveBlocker.start('prevent-app-suspension')
        return () => {
          powerSaveBlocker.stop(id)
        }
      },
      isWindowFocused: () => windows.main?.isFocused() === true,
      notify: (title, body) => {
        if (!Notification.isSupported()) return
        const notification = new Notification({ title, body })
        notification.on('click', () => void windows.open())
        notification.show()
      },
    })
    events.subscribe((event, payload) => {
      if (event === 'job.snapshot') presence.observe(payload as JobSnapshot)
    })
  },
}

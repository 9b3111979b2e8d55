/**
 * Start and end of the application. Quitting waits until the host has stopped its jobs: ending a process in which ONNX Runtime is busy aborts
 * it, and the host is the only process where it may be. A signal of the system asks nobody; the exit code then is 128 and its number.
 */
import { constants } from 'node:os'
import { app, dialog } from 'electron'
import type { AppContext, AppModule } from './app-module.ts'

export const lifecycleModule: AppModule = {
  enable(context) {
    let state: 'open' | 'asking' | 'stopping' | 'stopped' = 'open'
    const stop = async (): Promise<void> => {
      state = 'stopping'
      await context.hostClient.shutdown()
      state = 'stopped'
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (state === 'stopping' || state === 'stopped') return
        context.log.write('info', 'main', `ending because of ${signal}`)
        void stop().then(() => {
          app.exit(128 + constants.signals[signal])
        })
      })
    }
    app.on('before-quit', (event) => {
      if (state === 'stopped') return
      event.preventDefault()
      if (state !== 'open') return
      state = 'asking'
      void mayQuit(context).then(async (may) => {
        if (state !== 'asking') return
        if (!may) {
          state = 'open'
          return
        }
        await stop()
        app.quit()
      })
    })
    app.on('browser-window-created', (_event, window) => {
      window.on('close', (event) => {
        if (state === 'stopped' || context.hostClient.runningJobCount === 0) return
        event.preventDefault()
        app.quit()
      })
    })
    app.on('window-all-closed', () => {
      app.quit()
    })
    app.on('second-instance', () => {
      void context.windows.open()
    })
    app.on('activate', () => {
      void context.windows.open()
    })
    app.on('child-process-gone', (_event, { type, reason, name }) => {
      context.log.write('warn', 'process', `${name ?? type} ended: ${reason}`)
    })
    app.on('render-process-gone', (_event, _contents, { reason }) => {
      context.log.write('error', 'renderer', `ended: ${reason}`)
    })
  },
}

/** Asks when a run would be lost; true without a question otherwise. */
async function mayQuit({ hostClient, windows }: AppContext): Promise<boolean> {
  const window = windows.main
  if (hostClient.runningJobCount === 0 || window === undefined) return true
  const { response } = await dialog.showMessageBox(window, {
    type: 'question',
    message: 'A run is in progress.',
    detail: 'Quitting stops it. What is finished is kept and can be continued.',
    buttons: ['Stop the run and quit', 'Keep running'],
    defaultId: 1,
    cancelId: 1,
  })
  return response === 0
}

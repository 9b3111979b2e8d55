/** Electron's end of the contract: the only user of ipcMain. Sender check first, then the router that the browser server uses too. */
import { app, dialog, ipcMain, shell } from 'electron'
import { type AppError } from '../../shared/errors/app-error.ts'
import { DROP_CHANNEL, REQUEST_CHANNEL } from '../ipc/channels.ts'
import { createHandlers } from '../ipc/handlers/all.ts'
import { errorReply, forbiddenSender, Router } from '../ipc/router.ts'
import { isTrustedSender, type SenderEvent } from '../security/sender-check.ts'
import type { AppContext, AppModule } from './app-module.ts'
import { pickPath, type OpenDialog } from './dialogs.ts'
import { grantDropped } from './dropped-paths.ts'

export const requestsModule: AppModule = {
  enable(context) {
    const { files, log, events, grants, hostClient, windows } = context
    const logError = (route: string, error: AppError): void => {
      const isBug = error.kind === 'bug'
      log.write(isBug ? 'error' : 'warn', route, isBug ? (error.stack ?? error.toLine()) : error.toLine())
    }
    const handlers = createHandlers({
      kind: 'electron',
      version: app.getVersion(),
      cpuCount: files.cpuCount,
      grants,
      host: hostClient.api,
      sampleFolder: files.sampleFolder,
      exportsFolder: context.exportsFolder,
      userData: context.userData,
      pickPath: (purpose) => {
        const open: OpenDialog = (options) =>
          windows.main === undefined
            ? dialog.showOpenDialog(options)
            : dialog.showOpenDialog(windows.main, options)
        return pickPath(purpose, context.userData, open)
      },
      revealFolder: (path) => {
        shell.showItemInFolder(path)
      },
    })
    const router = new Router(handlers, logError)
    ipcMain.handle(REQUEST_CHANNEL, (event, route: unknown, input: unknown) => {
      if (isTrusted(event, context)) return router.handle(route, input)
      const error = forbiddenSender()
      logError('sender', error)
      return errorReply(error)
    })
    ipcMain.on(DROP_CHANNEL, (event, paths: unknown) => {
      if (!isTrusted(event, context)) {
        logError('sender', forbiddenSender())
        return
      }
      void grantDropped(paths, grants, events.emit, (error) => {
        logError('drop', error)
      })
    })
    events.subscribe((event, payload) => {
      windows.send(event, payload)
    })
  },
}

function isTrusted(event: SenderEvent, { windows }: AppContext): boolean {
  return isTrustedSender(event, windows.contentsIds)
}

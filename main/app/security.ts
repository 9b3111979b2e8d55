/** Puts the security modules to work on the default session and on every web contents. */
import { app, session } from 'electron'
import { serveRenderer } from '../security/app-protocol.ts'
import { guardContents } from '../security/navigation-guard.ts'
import { blockNetwork } from '../security/network-filter.ts'
import { denyPermissions } from '../security/permissions.ts'
import type { AppModule } from './app-module.ts'

export const securityModule: AppModule = {
  enable({ files, log }) {
    const { defaultSession } = session
    denyPermissions(defaultSession)
    blockNetwork(defaultSession, !app.isPackaged, (url) => {
      log.write('warn', 'network', `request cancelled: ${url.slice(0, 200)}`)
    })
    serveRenderer(defaultSession, files.rendererFolder)
    app.on('web-contents-created', (_event, contents) => {
      guardContents(contents, (what, url) => {
        log.write('warn', 'navigation', `refused ${what} ${url.slice(0, 200)}`)
      })
    })
  },
}

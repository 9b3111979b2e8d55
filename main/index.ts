/** Entry of the desktop application. What must happen before `ready` happens here; everything else in app/bootstrap.ts. */
import { app, dialog, protocol } from 'electron'
import { AppError } from '../shared/errors/app-error.ts'
import { bootstrap } from './app/bootstrap.ts'
import { parseDesktopArguments } from './app/command-line.ts'
import { APP_SCHEME_PRIVILEGES } from './security/app-protocol.ts'

const desktop = parseDesktopArguments(process.argv, process.cwd())
if (desktop.dataFolder !== undefined) app.setPath('userData', desktop.dataFolder)
// As root (containers) Chromium runs with --no-sandbox only, and enableSandbox would take that switch away: every child process would die.
// Pages stay without Node all the same: WEB_PREFERENCES says so for each window.
if (!app.commandLine.hasSwitch('no-sandbox')) app.enableSandbox()
protocol.registerSchemesAsPrivileged([APP_SCHEME_PRIVILEGES])

if (app.requestSingleInstanceLock()) {
  app
    .whenReady()
    .then(() => bootstrap(import.meta.url, desktop))
    .catch((thrown: unknown) => {
      dialog.showErrorBox('Quantmill cannot start', AppError.from(thrown).toLine())
      app.exit(1)
    })
} else {
  app.quit()
}

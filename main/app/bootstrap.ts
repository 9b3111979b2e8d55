/** Builds what the modules share and enables them in order, then opens the window. */
import { app } from 'electron'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildFiles } from '../host/build-files.ts'
import { HostClient } from '../host/client.ts'
import { EventHub } from '../ipc/event-hub.ts'
import { PathGrants } from '../security/path-grants.ts'
import { UserData } from '../user-data/user-data.ts'
import type { AppContext, AppModule } from './app-module.ts'
import type { DesktopArguments } from './command-line.ts'
import { startHostProcess } from './host-process.ts'
import { lifecycleModule } from './lifecycle.ts'
import { LogSink } from './log-sink.ts'
import { menuModule } from './menu.ts'
import { presenceModule } from './presence.ts'
import { requestsModule } from './requests.ts'
import { securityModule } from './security.ts'
import { suspendModule } from './suspend.ts'
import { AppWindows } from './windows.ts'

const MODULES: readonly AppModule[] = [
  securityModule,
  menuModule,
  requestsModule,
  presenceModule,
  suspendModule,
  lifecycleModule,
]

/** After `ready`. `entryUrl` is the import.meta.url of the built entry. */
export async function bootstrap(entryUrl: string, desktop: DesktopArguments): Promise<void> {
  const context = makeContext(entryUrl, desktop)
  for (const module of MODULES) await module.enable(context)
  context.log.write('info', 'main', `started, version ${app.getVersion()}`)
  await context.windows.open()
}

function makeContext(entryUrl: string, desktop: DesktopArguments): AppContext {
  const file = (path: string): string => fileURLToPath(new URL(path, entryUrl))
  const homeFolder = app.getPath('home')
  const log = new LogSink({ folder: app.getPath('logs'), homeFolder })
  const events = new EventHub()
  return {
    files: buildFiles(entryUrl),
    log,
    events,
    grants: new PathGrants({ homeFolder }),
    hostClient: new HostClient({
      start: () => startHostProcess(file('./host.js'), log),
      emit: (event, payload) => {
        events.emitFromHost(event, payload)
      },
      log: (level, message) => {
        log.write(level, 'host', message)
      },
    }),
    windows: new AppWindows({
      preloadFile: file('../preload/index.cjs'),
      stateFile: join(app.getPath('userData'), 'window.json'),
    }),
    userData: new UserData(join(app.getPath('userData'), 'settings.json')),
    exportsFolder: desktop.exportsFolder ?? join(app.getPath('documents'), 'Quantmill'),
  }
}

/** Connects the system's sleep with the runs. */
import { powerMonitor } from 'electron'
import { AppError } from '../../shared/errors/app-error.ts'
import type { AppModule } from './app-module.ts'
import { SuspendGuard } from './suspend-guard.ts'

export const suspendModule: AppModule = {
  enable({ hostClient, log }) {
    const guard = new SuspendGuard(hostClient.api)
    const follow = (what: string, done: Promise<void>): void => {
      done.catch((thrown: unknown) => {
        log.write('warn', what, AppError.from(thrown).toLine())
      })
    }
    powerMonitor.on('suspend', () => {
      // Without a run there may be no host either, and asking would start one.
      if (hostClient.runningJobCount > 0) follow('suspend', guard.suspend())
    })
    powerMonitor.on('resume', () => {
      if (hostClient.runningJobCount > 0) follow('resume', guard.resume())
    })
  },
}

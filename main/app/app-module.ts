/** The unit main is made of: one concern, one file, enabled once after `ready`. Later modules may rely on earlier ones. */
import type { buildFiles } from '../host/build-files.ts'
import type { HostClient } from '../host/client.ts'
import type { EventHub } from '../ipc/event-hub.ts'
import type { PathGrants } from '../security/path-grants.ts'
import type { UserData } from '../user-data/user-data.ts'
import type { LogSink } from './log-sink.ts'
import type { AppWindows } from './windows.ts'

export interface AppContext {
  readonly files: ReturnType<typeof buildFiles>
  readonly log: LogSink
  readonly events: EventHub
  readonly grants: PathGrants
  readonly hostClient: HostClient
  readonly windows: AppWindows
  readonly userData: UserData
  /** From the command line (`--exports-folder=`), else `Quantmill` in the user's documents. */
  readonly exportsFolder: string
}

export interface AppModule {
  enable(context: AppContext): void | Promise<void>
}

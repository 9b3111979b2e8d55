/** What the request handlers need from where they run. The Electron window and the browser server each build one; the handlers cannot tell them apart. */
import type { FolderListing, GrantPurpose } from '../../shared/domain/app-info.ts'
import type { HostApi } from '../host/host-api.ts'
import type { PathGrants } from '../security/path-grants.ts'
import type { UserData } from '../user-data/user-data.ts'

export interface Surface {
  readonly kind: 'electron' | 'browser'
  readonly version: string
  readonly cpuCount: number
  readonly grants: PathGrants
  readonly host: HostApi
  /** Folder of the bundled sample checkpoint; it need not exist. */
  readonly sampleFolder: string
  /** Where exports go when the checkpoint's own parent cannot take them. Created on demand. */
  readonly exportsFolder: string
  /** Settings and library. @default kept until the end of the process only */
  readonly userData?: UserData | undefined
  /** The system's own dialogs; undefined in the browser. Resolves to undefined when the user closed the dialog. */
  readonly pickPath?: ((purpose: GrantPurpose) => Promise<string | undefined>) | undefined
  /** Stands in for the dialogs in the browser; undefined in Electron. */
  readonly folders?: FolderSource | undefined
  /** Shows a finished export in the system's file manager; undefined in the browser. */
  readonly revealFolder?: ((path: string) => void) | undefined
}

export interface FolderSource {
  list(entryId: string | undefined): Promise<FolderListing>
  /** Real path of an entry that was listed. Throws GRANT_UNKNOWN. */
  pathOf(entryId: string): Promise<string>
}

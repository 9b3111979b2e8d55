/** What the renderer needs to know about its surroundings. */
export interface AppInfo {
  readonly version: string
  readonly surface: 'electron' | 'browser'
  /** True where the surface opens the system's own dialogs; otherwise the renderer shows its folder list. */
  readonly hasNativeDialogs: boolean
  readonly hasSample: boolean
  readonly cpuCount: number
}

export interface DeviceInfo {
  readonly device: 'cpu' | 'webgpu' | 'cuda'
  readonly isAvailable: boolean
  readonly detail: string
}

export type GrantId = string & { readonly __brand: 'GrantId' }
export type GrantPurpose = 'checkpoint' | 'output' | 'calibration' | 'recipe'

/** A path the user gave by dialog, drop, sample button or folder list. The renderer sees only the display text. */
export interface PathGrant {
  readonly grantId: GrantId
  readonly purpose: GrantPurpose
  readonly displayPath: string
  /** Last path segment. */
  readonly name: string
}

/** One row of the browser surface's folder list; `entryId` is opaque and only valid for the server that made it. */
export interface FolderListing {
  readonly displayPath: string
  readonly parentEntryId: string | undefined
  readonly entries: readonly {
    readonly entryId: string
    readonly name: string
    readonly kind: 'folder' | 'file'
    readonly sizeBytes: number
    readonly isCheckpoint: boolean
  }[]
}

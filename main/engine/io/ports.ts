/**
 * What the engine needs from a file system, as interfaces. The Node implementation lives in io/node; tests may use their own.
 * Names are plain file names inside one folder the user granted; nothing here accepts a path.
 */

export interface FolderEntry {
  readonly name: string
  readonly kind: 'file' | 'folder' | 'other'
  readonly sizeBytes: number
  /** Last modification, milliseconds since the epoch. */
  readonly modifiedMs: number
}

/** Read side of a checkpoint folder. Links are followed only while the real path stays inside the folder's own tree or is the
 * folder's blob store (hub caches link to a sibling folder): the implementation decides and throws PATH_ESCAPES_CHECKPOINT. */
export interface CheckpointFolder {
  /** For messages only. */
  readonly displayPath: string
  list(): Promise<readonly FolderEntry[]>
  /** Whole file. Throws FILE_TOO_LARGE above `limitBytes`, READ_FAILED, or `missingCode` when it does not exist. */
  readAll(name: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer>>
  /** Exactly `lengthBytes` from `offsetBytes`. Throws SAFETENSORS_TRUNCATED when the file ends early. */
  readRange(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>>
  /** Size of one file, or undefined when it does not exist. */
  sizeOf(name: string): Promise<number | undefined>
  /** The folder of that name inside; undefined when there is none. Absent where folders are not looked into. */
  subfolder?(name: string): Promise<CheckpointFolder | undefined>
}

/** A file for numbers that do not fit into memory. Its calls block: it is for worker threads, which wait for every run of a graph anyway. */
export interface ScratchFile {
  /** Fills `target` with what was written at `positionBytes`. Throws READ_FAILED. */
  read(target: Uint8Array, positionBytes: number): void
  /** Throws DISK_FULL, WRITE_FAILED. */
  write(source: Uint8Array, positionBytes: number): void
}

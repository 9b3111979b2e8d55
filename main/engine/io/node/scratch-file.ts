/** ScratchFile of ports.ts on disk. Gone when it is closed, when the process ends, and with the folder it lies in. */
import { rmSync } from 'node:fs'
import { createFile, PositionedFile } from './positioned-file.ts'

export class NodeScratchFile extends PositionedFile {
  /** Replaces a file that an earlier process left at `path`. Throws DISK_FULL, PERMISSION_DENIED, WRITE_FAILED. */
  constructor(path: string) {
    super(createFile(path), path)
    // Without a name it is gone with the process, however that ends. Windows keeps the names of open files.
    if (process.platform !== 'win32') rmSync(path, { force: true })
  }

  override close(): void {
    super.close()
    rmSync(this.path, { force: true })
  }
}

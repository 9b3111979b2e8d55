/** A scratch file in memory: counts, and fails when it was told to. Bytes that were never written are NaN. */
import type { ScratchFile } from '../../main/engine/io/ports.ts'

export class MemoryScratch implements ScratchFile {
  bytesWritten = 0
  bytesRead = 0
  private bytes = new Uint8Array(0)
  private readonly beforeWrite: (bytesWritten: number) => void

  /** `beforeWrite` is told how much was written so far, and may throw. */
  constructor(beforeWrite: (bytesWritten: number) => void = () => undefined) {
    this.beforeWrite = beforeWrite
  }

  read(target: Uint8Array, positionBytes: number): void {
    target.fill(0xff)
    target.set(this.bytes.subarray(positionBytes, positionBytes + target.length))
    this.bytesRead += target.length
  }

  write(source: Uint8Array, positionBytes: number): void {
    this.beforeWrite(this.bytesWritten)
    const end = positionBytes + source.length
    if (this.bytes.length < end) {
      const grown = new Uint8Array(end).fill(0xff)
      grown.set(this.bytes)
      this.bytes = grown
    }
    this.bytes.set(source, positionBytes)
    this.bytesWritten += source.length
  }
}

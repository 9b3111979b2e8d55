/** Positioned, synchronous write of all bytes. A system may write less than it was asked to; what is missing is asked for again. */
import { writeSync } from 'node:fs'
import { AppError } from '../../../../shared/errors/app-error.ts'
import { fromFsError } from './fs-error.ts'

/** Writes `bytes` from `positionBytes` on. `name` is for messages. Throws DISK_FULL, PERMISSION_DENIED, WRITE_FAILED. */
export function writeFully(descriptor: number, bytes: Uint8Array, positionBytes: number, name: string): void {
  let done = 0
  while (done < bytes.length) {
    let count: number
    try {
      count = writeSync(descriptor, bytes, done, bytes.length - done, positionBytes + done)
    } catch (error: unknown) {
      throw fromFsError(error, name, 'write')
    }
    if (count === 0) {
      throw new AppError('WRITE_FAILED', {
        subject: name,
        problem: 'the system takes no more bytes',
        remedy: 'check the disk and continue the run',
      })
    }
    done += count
  }
}

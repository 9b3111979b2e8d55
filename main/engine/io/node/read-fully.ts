/** Positioned, synchronous read of exactly as many bytes as the target holds, for worker threads with descriptors opened by the host. */
import { readSync } from 'node:fs'
import { AppError } from '../../../../shared/errors/app-error.ts'
import { fromFsError } from './fs-error.ts'

/** Fills `target` from `positionBytes`. `name` is for messages. Throws SOURCE_CHANGED when the file ends early, READ_FAILED. */
export function readFully(descriptor: number, target: Uint8Array, positionBytes: number, name: string): void {
  let done = 0
  while (done < target.length) {
    let count: number
    try {
      count = readSync(descriptor, target, done, target.length - done, positionBytes + done)
    } catch (error: unknown) {
      throw fromFsError(error, name, 'read')
    }
    if (count === 0) {
      throw new AppError('SOURCE_CHANGED', {
        subject: name,
        problem: 'its file became shorter while it was being read',
        remedy: 'do not change the checkpoint during a run, then start again',
      })
    }
    done += count
  }
}

/** Weight files that a worker opens itself and closes when its work is done. */
import { closeSync, openSync } from 'node:fs'
import { fromFsError } from '../engine/io/node/fs-error.ts'

export class OpenFiles {
  private readonly descriptors: number[] = []

  /** Descriptors in the order of the paths. Throws READ_FAILED, PERMISSION_DENIED. */
  open(paths: readonly string[]): readonly number[] {
    return paths.map((path) => {
      try {
        const descriptor = openSync(path, 'r')
        this.descriptors.push(descriptor)
        return descriptor
      } catch (error: unknown) {
        throw fromFsError(error, path, 'read')
      }
    })
  }

  close(): void {
    for (const descriptor of this.descriptors.splice(0)) closeSync(descriptor)
  }
}

/** SHA-256 of every output tensor by its position in the state dict, 32 bytes each: a 397B export has 370,000 of them. */
import { invariant } from '../../../shared/errors/app-error.ts'

const HASH_BYTES = 32

export class TensorHashes {
  private readonly bytes: Buffer
  private readonly isSet: Uint8Array

  constructor(tensorCount: number) {
    this.bytes = Buffer.alloc(tensorCount * HASH_BYTES)
    this.isSet = new Uint8Array(tensorCount)
  }

  /** Records 64 hexadecimal digits. Throws INVARIANT for a position that is not planned. */
  set(tensor: number, sha256: string): void {
    invariant(tensor >= 0 && tensor < this.isSet.length, `tensor ${String(tensor)} is not planned`)
    this.bytes.write(sha256, tensor * HASH_BYTES, 'hex')
    this.isSet[tensor] = 1
  }

  /** Hexadecimal digits, or undefined when nothing was recorded. */
  get(tensor: number): string | undefined {
    if (this.isSet[tensor] !== 1) return undefined
    return this.bytes.toString('hex', tensor * HASH_BYTES, (tensor + 1) * HASH_BYTES)
  }
}

/** SHA-256 of the source ranges of every task, by task and position in it; 32 bytes each. */
export class SourceHashes {
  private bytes = Buffer.alloc(64 * HASH_BYTES)
  private length = 0
  /** Position of a task's first hash; -1 = nothing recorded. */
  private readonly starts: Int32Array

  constructor(taskCount: number) {
    this.starts = new Int32Array(taskCount).fill(-1)
  }

  set(task: number, sha256: readonly string[]): void {
    this.starts[task] = this.length
    for (const digest of sha256) {
      if ((this.length + 1) * HASH_BYTES > this.bytes.length)
        this.bytes = Buffer.concat([this.bytes, Buffer.alloc(this.bytes.length)])
      this.bytes.write(digest, this.length * HASH_BYTES, 'hex')
      this.length += 1
    }
  }

  /** Hexadecimal digits of a task's range, or undefined when nothing was recorded for the task. */
  get(task: number, position: number): string | undefined {
    const start = this.starts[task] ?? -1
    if (start === -1) return undefined
    const at = (start + position) * HASH_BYTES
    return this.bytes.toString('hex', at, at + HASH_BYTES)
  }
}

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

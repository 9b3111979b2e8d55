/** Bytes of safetensors files, right and wrong, written without the code under test. */

export interface RawEntry {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly number[]
}

/** A file from header text as it is and a data section of zeros. `claimedLength` overrides the 8-byte length. */
export function rawShard(header: string, dataBytes: number, claimedLength?: bigint): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header)
  const file = new Uint8Array(8 + text.length + dataBytes)
  new DataView(file.buffer).setBigUint64(0, claimedLength ?? BigInt(text.length), true)
  file.set(text, 8)
  return file
}

/** A file with BF16 tensors of these shapes one after the other, in this order. */
export function bf16Shard(tensors: Readonly<Record<string, readonly number[]>>): Uint8Array<ArrayBuffer> {
  const header: Record<string, RawEntry> = {}
  let position = 0
  for (const [name, shape] of Object.entries(tensors)) {
    const end = position + 2 * shape.reduce((product, size) => product * size, 1)
    header[name] = { dtype: 'BF16', shape, data_offsets: [position, end] }
    position = end
  }
  return rawShard(JSON.stringify(header), position)
}

/** Calibration data as token ids, written without the code under test. */
import { writeFile } from 'node:fs/promises'
import { rawShard } from './safetensors-bytes.ts'

/** `input_ids` [ids.length / time, time] as a safetensors file. */
export async function writeTokenIds(path: string, ids: Int32Array, time: number): Promise<void> {
  const shape = [ids.length / time, time]
  const header = { input_ids: { dtype: 'I32', shape, data_offsets: [0, ids.byteLength] } }
  const file = rawShard(JSON.stringify(header), ids.byteLength)
  file.set(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength), file.length - ids.byteLength)
  await writeFile(path, file)
}

/**
 * `quantmill/reciprocals.json` of a converted export: the f32 bits of scalars that a rounded reciprocal does not give back, by the name of the
 * tensor in this export. A record is never trusted: it is used only where its reciprocal is the stored value.
 */
import { join } from 'node:path'
import { parseJsonObject, asObject } from '../../engine/formats/hf-config/lossless-json.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { f32Bits, f32FromBits } from '../../engine/tensor/float-bits.ts'

export const RECORD_NAME = 'reciprocals.json'
/** CWE-770: about 100 bytes for each of some 100,000 scalars of the largest models. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024

/** Values by tensor name; empty when there is no record or it cannot be read, because nothing depends on it but one unit in the last place. */
export async function readRecord(exportPath: string): Promise<ReadonlyMap<string, number>> {
  const folder = new NodeCheckpointFolder(join(exportPath, 'quantmill'))
  const values = new Map<string, number>()
  try {
    if ((await folder.sizeOf(RECORD_NAME)) === undefined) return values
    const root = parseJsonObject(await folder.readAll(RECORD_NAME, MAX_RECORD_BYTES), RECORD_NAME)
    for (const [name, bits] of Object.entries(asObject(root['f32_bits']) ?? {})) {
      if (typeof bits === 'string' && /^[0-9a-f]{8}$/.test(bits))
        values.set(name, f32FromBits(parseInt(bits, 16)))
    }
  } catch {
    values.clear()
  }
  return values
}

export function recordText(values: ReadonlyMap<string, number>): string {
  const bits = [...values].map(
    ([name, value]) => [name, f32Bits(value).toString(16).padStart(8, '0')] as const,
  )
  return `${JSON.stringify({ schema: 1, f32_bits: Object.fromEntries(bits) }, null, 1)}\n`
}

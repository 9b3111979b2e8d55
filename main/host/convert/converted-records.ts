/**
 * What a converted export keeps so that converting it back gives the same files again: `quantmill/reciprocals.json`, the f32 bits of scalars
 * that a rounded reciprocal does not give back, and `quantmill/weight-shapes.json`, the shards of matrix sizes (`weight_shape`) that did not lie
 * beside their weight. Neither is trusted: bits are used where their reciprocal is the stored value, shards where the export has them.
 */
import { join } from 'node:path'
import { asObject, parseJsonObject, type JsonValue } from '../../engine/formats/hf-config/lossless-json.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { f32Bits, f32FromBits } from '../../engine/tensor/float-bits.ts'

const RECIPROCALS = { file: 'reciprocals.json', key: 'f32_bits' } as const
const SHAPES = { file: 'weight-shapes.json', key: 'shards' } as const
/** CWE-770: about 100 bytes for each of some 100,000 scalars of the largest models. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024

export interface ConvertedRecords {
  /** f32 values by the name of the scalar in this export. */
  readonly reciprocals: ReadonlyMap<string, number>
  /** Shard file names by the name of the `weight_shape` in the export that this one was made of. */
  readonly shapeShards: ReadonlyMap<string, string>
}

/** Empty maps for what is absent or cannot be read, because nothing depends on it but one unit in the last place and the place of 16 bytes. */
export async function readRecords(exportPath: string): Promise<ConvertedRecords> {
  const bits = await readEntries(exportPath, RECIPROCALS)
  const shards = await readEntries(exportPath, SHAPES)
  return {
    reciprocals: new Map(
      bits.flatMap(([name, value]) =>
        /^[0-9a-f]{8}$/.test(value) ? [[name, f32FromBits(parseInt(value, 16))] as const] : [],
      ),
    ),
    shapeShards: new Map(shards),
  }
}

/** Texts of the files to write, by name; none for an empty map. */
export function recordTexts({
  reciprocals,
  shapeShards,
}: ConvertedRecords): readonly (readonly [string, string])[] {
  const bits = [...reciprocals].map(
    ([name, value]) => [name, f32Bits(value).toString(16).padStart(8, '0')] as const,
  )
  return [[RECIPROCALS, bits] as const, [SHAPES, [...shapeShards]] as const].flatMap(
    ([{ file, key }, entries]) =>
      entries.length === 0
        ? []
        : [
            [
              file,
              `${JSON.stringify({ schema: 1, [key]: Object.fromEntries(entries) }, null, 1)}\n`,
            ] as const,
          ],
  )
}

async function readEntries(
  exportPath: string,
  { file, key }: { readonly file: string; readonly key: string },
): Promise<readonly (readonly [string, string])[]> {
  const folder = new NodeCheckpointFolder(join(exportPath, 'quantmill'))
  let entries: readonly (readonly [string, JsonValue])[] = []
  try {
    if ((await folder.sizeOf(file)) === undefined) return []
    const root = parseJsonObject(await folder.readAll(file, MAX_RECORD_BYTES), file)
    entries = Object.entries(asObject(root[key]) ?? {})
  } catch {
    return []
  }
  return entries.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value] as const] : []))
}

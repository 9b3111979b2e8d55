/** Reads the scalars of an export, inverts those that the other dialect stores as reciprocals, and counts what the rounding does to them. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../../engine/checkpoint/checkpoint.ts'
import type { PlannedScalar } from '../../engine/convert/part-collector.ts'
import { toDirect, toReciprocal, type Inversion } from '../../engine/convert/reciprocal.ts'
import type { ShardHeader } from '../../engine/formats/safetensors/entry.ts'
import type { CheckpointFolder } from '../../engine/io/ports.ts'
import type { ResolvedScale } from '../../engine/pipeline/resolve-activation-scales.ts'
import { bf16ToF32 } from '../../engine/tensor/bf16.ts'
import { f16ToF32 } from '../../engine/tensor/f16.ts'

export type InversionCounts = Readonly<Record<Inversion['outcome'], number>>

export interface ConvertedScalars {
  readonly values: readonly ResolvedScale[]
  readonly counts: InversionCounts
  /** Scalars that only a record brings back: name in the target -> value in the source. */
  readonly record: ReadonlyMap<string, number>
}

/** Scalars of one shard that lie this close are read together. */
const GAP_BYTES = 64 * 1024
const READ_BYTES = 4 * 1024 * 1024

/** Throws SCALE_NOT_FINITE for a scale without a finite reciprocal above zero. `recorded`: values by name in the source. */
export async function convertScalars(
  folder: CheckpointFolder,
  shards: readonly ShardHeader[],
  scalars: readonly PlannedScalar[],
  recorded: ReadonlyMap<string, number>,
): Promise<ConvertedScalars> {
  const stored = await readScalars(
    folder,
    shards,
    scalars.map(({ source }) => source),
  )
  const counts = { exact: 0, restored: 0, recorded: 0, rounded: 0 }
  const record = new Map<string, number>()
  const values = scalars.map(({ source, output, change }): ResolvedScale => {
    const value = stored.get(source) ?? Number.NaN
    // The value is final: the writer must not invert it again.
    const place = { ...output, transform: undefined }
    if (change === 'none') return { output: place, value }
    const invert = change === 'to_reciprocal' ? toReciprocal : toDirect
    const inversion = invert(value, recorded.get(source.name))
    if (!(value > 0) || !(inversion.value > 0) || inversion.value === Infinity)
      throw notInvertible(source.name, value)
    counts[inversion.outcome] += 1
    if (inversion.outcome === 'rounded') record.set(output.name, value)
    return { output: place, value: inversion.value }
  })
  return { values, counts, record }
}

/** Values of F32, BF16 or F16 scalars, read in ranges. */
async function readScalars(
  folder: CheckpointFolder,
  shards: readonly ShardHeader[],
  sources: readonly TensorSlice[],
): Promise<ReadonlyMap<TensorSlice, number>> {
  const values = new Map<TensorSlice, number>()
  for (const group of nearby(sources)) {
    const [first] = group
    const last = group.at(-1)
    const shard = first && shards[first.shardIndex]
    if (first === undefined || last === undefined || shard === undefined) continue
    const length = last.offsetBytes + last.sizeBytes - first.offsetBytes
    const bytes = await folder.readRange(shard.fileName, first.offsetBytes, length)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (const slice of group)
      values.set(slice, readValue(view, slice, slice.offsetBytes - first.offsetBytes))
  }
  return values
}

function nearby(sources: readonly TensorSlice[]): readonly (readonly TensorSlice[])[] {
  const sorted = [...sources].sort((a, b) => a.shardIndex - b.shardIndex || a.offsetBytes - b.offsetBytes)
  const groups: TensorSlice[][] = []
  for (const slice of sorted) {
    const group = groups.at(-1)
    const first = group?.[0]
    const last = group?.at(-1)
    const isNear =
      last?.shardIndex === slice.shardIndex &&
      slice.offsetBytes - last.offsetBytes < GAP_BYTES &&
      slice.offsetBytes - (first?.offsetBytes ?? 0) < READ_BYTES
    if (isNear) group?.push(slice)
    else groups.push([slice])
  }
  return groups
}

function readValue(view: DataView, { dtype }: TensorSlice, at: number): number {
  if (dtype === 'BF16') return bf16ToF32(view.getUint16(at, true))
  if (dtype === 'F16') return f16ToF32(view.getUint16(at, true))
  return view.getFloat32(at, true)
}

function notInvertible(subject: string, value: number): AppError {
  return new AppError('SCALE_NOT_FINITE', {
    subject,
    problem: `this scale is ${String(value)}, which has no finite reciprocal above zero`,
    remedy: 'export again with --profile hardened, which gives every weight a usable scale',
  })
}

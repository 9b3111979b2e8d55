/**
 * Weight scales and codes without the source: what follows from the stored bytes alone.
 *
 * - Tensor scales (NVFP4) that engines take once for several matrices become the largest of them; the block scales of the others are
 *   multiplied by the ratio and rounded to E4M3, never to zero. Codes stay. The change of the weights is computed exactly.
 * - A NaN byte is what an E4M3 cast makes of a value beyond 448, so it becomes the largest value of its sign. A byte that was damaged on a disk
 *   looks the same: the repair says that this was assumed, and with the source the matrix is quantized anew instead.
 * - A matrix whose codes are all zero gets scales that engines can use; its weights stay zero.
 * - A tensor scale without a usable value is that of the matrices it is used as one with, if those agree.
 */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { relativeChange, type BlockCensus } from '../quant/block-census.ts'
import { decodeE4m3, encodeE4m3 } from '../tensor/e4m3.ts'
import type { ExportRuleId } from '../verify/rules/export-rules.ts'
import { isNvfp4 } from '../verify/stored-format.ts'
import type { WindowedReader } from '../verify/windowed-reader.ts'
import { blockCensus, codeCensus } from './census.ts'
import type { RepairSet } from './repair.ts'
import { asDirect, isUsable, readScalar, scalarPlace, wider, type StoredMatrix } from './stored-matrix.ts'

const NAN_BYTE = 0x7f
const LARGEST_BYTE = 0x7e
const SMALLEST_BYTE = 0x01
/** Tensor scale of a matrix of zeros: that of a maximum of 1. */
const DEAD_TENSOR_SCALE = Math.fround(1 / 2688)
const DEAD_ACTION = 'its weights are all zero and stay so'
const NAN_ACTION =
  'assumed: a cast to E4M3 overflowed, so the largest value of its sign; what a byte was that was damaged otherwise only --source tells'

export interface SharedWeights {
  /** Matrices whose tensor scale engines take once, or a single one. */
  readonly matrices: readonly StoredMatrix[]
  /** The rule that unequal scales break. */
  readonly rule: ExportRuleId
  /** Every other pair of the layer has one scale, so that a lost one is that of the other matrix. */
  readonly areOthersEqual: boolean
}

/** Repairs one matrix, or several that engines use as one. Reads their scales and codes once. */
export async function repairWeights(
  shared: SharedWeights,
  reader: WindowedReader,
  set: RepairSet,
): Promise<void> {
  const [first] = shared.matrices
  if (first === undefined) return
  if (isNvfp4(first.stored)) await repairNvfp4(shared, reader, set)
  else for (const matrix of shared.matrices) await repairOther(matrix, reader, set)
}

interface Nvfp4Matrix {
  readonly matrix: StoredMatrix
  readonly census: BlockCensus
  /** As stored. */
  readonly found: number
  value: number
}

async function repairNvfp4(
  { matrices, rule, areOthersEqual }: SharedWeights,
  reader: WindowedReader,
  set: RepairSet,
): Promise<void> {
  const list: Nvfp4Matrix[] = []
  for (const matrix of matrices) {
    const scale = matrix.parts.get('e4m3_scale')?.tensor
    const codes = matrix.parts.get('codes')?.tensor
    const found = await readScalar(matrix, 'tensor_scale', reader)
    if (scale === undefined || codes === undefined || found === undefined) continue
    const census = await blockCensus(matrix.stored.format, scale, codes, reader)
    list.push({ matrix, census, found, value: found })
  }
  repairTensorScales(list, areOthersEqual, set)
  const shared = sharedScale(list)
  for (const item of list) {
    if (shared !== undefined && isUsable(item.value) && item.value !== shared)
      rescale(item, shared, rule, set)
    else repairBlockScales(item, set)
  }
}

/** Scales that are no positive numbers: dead matrices, then those whose neighbours agree. */
function repairTensorScales(list: readonly Nvfp4Matrix[], areOthersEqual: boolean, set: RepairSet): void {
  const usable = list.map(({ value }) => value).filter(isUsable)
  const [first] = usable
  const doAgree = usable.every((value) => value === first) && (areOthersEqual || usable.length > 1)
  for (const item of list) {
    if (isUsable(item.value)) continue
    const isDead = total(item.census.squares) === 0
    const ofDead = first ?? asDirect(item.matrix.stored, DEAD_TENSOR_SCALE)
    const value = (doAgree ? first : undefined) ?? (isDead ? ofDead : undefined)
    if (value !== undefined) replaceTensorScale(item, value, isDead, set)
  }
}

function replaceTensorScale(item: Nvfp4Matrix, value: number, isDead: boolean, set: RepairSet): void {
  const place = scalarPlace(item.matrix, 'tensor_scale')
  if (place === undefined) return
  item.value = value
  set.scalars.set(place.name, { shape: place.shape, value })
  set.note({
    rule: item.found <= 0 ? 'scale.positive' : 'scale.nan',
    subject: place.name,
    action: isDead ? DEAD_ACTION : 'that of the matrices it is used as one with',
    before: String(item.found),
    after: String(value),
    relativeError: isDead ? 0 : undefined,
  })
}

/** The scale that all of several matrices get; undefined for a single one or when one is beyond repair. */
function sharedScale(list: readonly Nvfp4Matrix[]): number | undefined {
  const [first] = list
  if (first === undefined || list.length < 2 || !list.every(({ value }) => isUsable(value))) return undefined
  return list.reduce((best, { value }) => wider(first.matrix.stored, best, value), first.value)
}

function rescale(item: Nvfp4Matrix, shared: number, rule: ExportRuleId, set: RepairSet): void {
  const { matrix, census, value } = item
  const place = scalarPlace(matrix, 'tensor_scale')
  const scale = matrix.parts.get('e4m3_scale')?.tensor
  if (place === undefined || scale === undefined) return
  const own = asDirect(matrix.stored, value)
  const common = asDirect(matrix.stored, shared)
  const table = Uint8Array.from({ length: 256 }, (_, byte) => {
    const clean = (byte & NAN_BYTE) === NAN_BYTE ? LARGEST_BYTE : byte
    if ((clean & NAN_BYTE) === 0) return clean
    const scaled = encodeE4m3(Math.fround((decodeE4m3(clean & NAN_BYTE) * own) / common), 'cpu')
    return (clean & 0x80) | Math.max(SMALLEST_BYTE, scaled)
  })
  set.scalars.set(place.name, { shape: place.shape, value: shared })
  set.tables.set(scale.name, table)
  const hasNan = isNanWeighted(census)
  set.note({
    rule,
    subject: place.name,
    action: 'block scales rescaled to the larger tensor scale; codes unchanged',
    before: String(item.found),
    after: String(shared),
    relativeError: hasNan
      ? undefined
      : relativeChange(
          census,
          (byte) => decodeE4m3(byte) * own,
          (byte) => decodeE4m3(table[byte] ?? 0) * common,
        ),
  })
}

/** NaN bytes, and signs of scales over nothing but zeros. */
function repairBlockScales({ matrix, census }: Nvfp4Matrix, set: RepairSet): void {
  const scale = matrix.parts.get('e4m3_scale')?.tensor
  if (scale === undefined) return
  const table = Uint8Array.from({ length: 256 }, (_, byte) => {
    if ((byte & NAN_BYTE) === NAN_BYTE) return LARGEST_BYTE
    const isOverZeros = byte > 0x80 && census.squares[byte] === 0
    return isOverZeros ? byte & NAN_BYTE : byte
  })
  const changed = table.findIndex((byte, at) => byte !== at && (census.counts[at] ?? 0) > 0)
  if (changed === -1) return
  set.tables.set(scale.name, table)
  const isNan = (changed & NAN_BYTE) === NAN_BYTE
  set.note({
    rule: isNan ? 'scale.nan' : 'scale.positive',
    subject: scale.name,
    action: isNan ? NAN_ACTION : 'the sign of scales over zeros is dropped',
    before: `${String(changedCount(table, census.counts))} block scales of no use`,
    after: isNan ? 'byte 0x7E (448)' : 'positive',
    relativeError: isNanWeighted(census) ? undefined : 0,
  })
}

/** Formats without a tensor scale beside block scales. */
async function repairOther(matrix: StoredMatrix, reader: WindowedReader, set: RepairSet): Promise<void> {
  const codes = matrix.parts.get('codes')?.tensor
  const exponents = matrix.parts.get('e8m0_scale')?.tensor
  if (codes === undefined) return
  if (exponents !== undefined) {
    const census = await blockCensus(matrix.stored.format, exponents, codes, reader)
    if ((census.counts[0xff] ?? 0) > 0 && census.squares[0xff] === 0) {
      const table = Uint8Array.from({ length: 256 }, (_, byte) => (byte === 0xff ? 0x7f : byte))
      set.tables.set(exponents.name, table)
      set.note({
        rule: 'scale.nan',
        subject: exponents.name,
        action: 'scales over nothing but zeros become 1',
        before: `${String(census.counts[0xff])} E8M0 bytes 0xFF`,
        after: '0x7F',
        relativeError: 0,
      })
    }
  }
  if (codes.dtype === 'F8_E4M3') await repairFp8(matrix, codes, reader, set)
}

async function repairFp8(
  matrix: StoredMatrix,
  codes: TensorSlice,
  reader: WindowedReader,
  set: RepairSet,
): Promise<void> {
  const counts = await codeCensus(codes, reader)
  const isDead = !hasValues(counts) && (await repairDeadScale(matrix, reader, set))
  const nanCount = (counts[NAN_BYTE] ?? 0) + (counts[0xff] ?? 0)
  if (nanCount === 0) return
  const table = Uint8Array.from({ length: 256 }, (_, byte) => {
    if ((byte & NAN_BYTE) !== NAN_BYTE) return byte
    return isDead ? 0 : (byte & 0x80) | LARGEST_BYTE
  })
  set.tables.set(codes.name, table)
  set.note({
    rule: 'weight.finite',
    subject: codes.name,
    action: isDead ? 'NaN codes of a matrix without any value become zero' : NAN_ACTION,
    before: `${String(nanCount)} NaN codes`,
    after: isDead ? '0' : 'largest value',
    relativeError: undefined,
  })
}

/** Gives a matrix without values the scale 1 if its one scale is of no use. True when it did. */
async function repairDeadScale(
  matrix: StoredMatrix,
  reader: WindowedReader,
  set: RepairSet,
): Promise<boolean> {
  const scale = await readScalar(matrix, 'float_scale', reader)
  const place = scalarPlace(matrix, 'float_scale')
  if (scale === undefined || isUsable(scale) || place?.shape.every((size) => size === 1) !== true)
    return false
  set.scalars.set(place.name, { shape: place.shape, value: 1 })
  set.note({
    rule: scale <= 0 ? 'scale.positive' : 'scale.nan',
    subject: place.name,
    action: DEAD_ACTION,
    before: String(scale),
    after: '1',
    relativeError: 0,
  })
  return true
}

/** Whether a code is neither zero nor NaN. */
function hasValues(counts: Float64Array): boolean {
  return counts.some((count, byte) => {
    const magnitude = byte & NAN_BYTE
    return count > 0 && magnitude !== 0 && magnitude !== NAN_BYTE
  })
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0)
}

function isNanWeighted({ squares }: BlockCensus): boolean {
  return (squares[NAN_BYTE] ?? 0) + (squares[0xff] ?? 0) > 0
}

function changedCount(table: Uint8Array, counts: Float64Array): number {
  return table.reduce((sum, byte, at) => sum + (byte === at ? 0 : (counts[at] ?? 0)), 0)
}

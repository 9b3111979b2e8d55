/**
 * Executes one planned task in an export worker: read source bytes, scan them, quantize or convert, hash, write at the planned offset.
 * All state is the arena handed in; the same task gives the same bytes in any worker. Files are descriptors that the host opened.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Dtype } from '../../shared/domain/dtype.ts'
import { AppError, invariant } from '../../shared/errors/app-error.ts'
import type {
  DeadWeight,
  OutputPlace,
  SourceBytes,
  TaskResult,
  WorkerMember,
  WorkerTask,
} from './export-protocol.ts'
import type { EncodeRequest, KernelArena } from '../engine/kernels/wasm/kernel-arena.ts'
import type { ExportProfile, ModuleFormat } from '../engine/quant/formats.ts'
import { needsTensorAmax } from '../engine/quant/layout.ts'
import { writeFully } from '../engine/io/node/write-fully.ts'
import { transformBytes, transformedBytes } from './stored-transform.ts'
import {
  align8,
  bf16Bytes,
  chunkRows,
  copyChunkBytes,
  encodedBytes,
  isResident,
  residentBytes,
  ROW_GRANULE,
  sharesTiles,
  storedElementBytes,
  taskMemory,
} from './task-memory.ts'
import { notFinite } from './measure-weights.ts'
import { foldSource, readSourceBytes } from './read-source.ts'

/** Amax that stands in for an all-zero weight in the hardened profile: every scale becomes finite and positive, every value stays 0. */
const DEAD_WEIGHT_AMAX = 1

interface Running {
  readonly arena: KernelArena
  readonly hashes: { tensor: number; sha256: string }[]
  /** Hash of each source so far; a second pass over the same bytes does not count. */
  readonly sources: Map<SourceBytes, { readonly hash: Hash; doneBytes: number }>
  /** The source is written as it is, so that its hash is that of the output. */
  isPlainCopy: boolean
  readonly deadWeights: DeadWeight[]
  bytesRead: number
  bytesWritten: number
}

/** Runs one task. Throws WEIGHT_NOT_FINITE, SOURCE_CHANGED, READ_FAILED, WRITE_FAILED, DISK_FULL, BLOCK_SIZE_UNSUPPORTED. */
export function runExportTask(arena: KernelArena, task: WorkerTask): TaskResult {
  const running: Running = {
    arena,
    hashes: [],
    sources: new Map(),
    isPlainCopy: false,
    deadWeights: [],
    bytesRead: 0,
    bytesWritten: 0,
  }
  const { inputBytes, outputBytes } = taskMemory(task)
  arena.reserve(inputBytes, outputBytes)
  if (task.kind === 'copy') copyTensor(running, task)
  else quantizeMembers(running, task)
  const { hashes, deadWeights, bytesRead, bytesWritten } = running
  const ranges = task.kind === 'copy' ? [task.source] : task.members.map(({ source }) => source)
  const sources = running.isPlainCopy
    ? hashes.map(({ sha256 }) => sha256)
    : ranges.map((range) => hashOf(running, range).hash.digest('hex'))
  return { hashes, sources, deadWeights, bytesRead, bytesWritten }
}

function hashOf({ sources }: Running, range: SourceBytes): { readonly hash: Hash; doneBytes: number } {
  const known = sources.get(range) ?? { hash: createHash('sha256'), doneBytes: 0 }
  sources.set(range, known)
  return known
}

function copyTensor(running: Running, task: Extract<WorkerTask, { kind: 'copy' }>): void {
  const { arena } = running
  const hash = createHash('sha256')
  const elementBytes = storedElementBytes(task.dtype)
  const { transform } = task.output
  running.isPlainCopy = [transform, task.convertTo, task.table, task.fold].every(
    (change) => change === undefined,
  )
  const ratio = task.convertTo === undefined ? transformedBytes(transform, 1) : 2 / elementBytes
  const largestChunk = copyChunkBytes(task)
  for (let done = 0; done < task.source.sizeBytes; done += largestChunk) {
    const chunkBytes = Math.min(largestChunk, task.source.sizeBytes - done)
    readSource(running, task, done, arena.input().subarray(0, chunkBytes))
    assertFinite(arena, task.dtype, 0, chunkBytes, task.sourceName)
    let bytes = arena.input().subarray(0, chunkBytes)
    if (task.table !== undefined) mapBytes(bytes, task.table)
    else if (transform !== undefined) {
      const target = arena.output().subarray(0, transformedBytes(transform, chunkBytes))
      bytes = transformBytes(transform, bytes, task.columns, target)
    } else if (task.convertTo === 'BF16') {
      toBf16(arena, task.dtype, 0, chunkBytes / elementBytes)
      bytes = arena.output().subarray(0, chunkBytes * ratio)
    }
    hash.update(bytes)
    writeOutput(running, task.output, done * ratio, bytes)
  }
  running.hashes.push({ tensor: task.output.index, sha256: hash.digest('hex') })
}

function mapBytes(bytes: Uint8Array, table: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = table[bytes[at] ?? 0] ?? 0
}

function quantizeMembers(running: Running, task: Extract<WorkerTask, { kind: 'quantize' }>): void {
  const { format, profile, members } = task
  const isKept = isResident(members)
  if (isKept) loadMembers(running, members)
  const amaxes = needsTensorAmax(format.format) || isKept ? scanMembers(running, members, isKept) : []
  const tensorAmax = resolveTensorAmax(running, format, profile, members, amaxes)
  let offset = 0
  for (const [index, member] of members.entries()) {
    const searchAmax = task.searchesAlone ? amaxes[index] : tensorAmax
    const fused = sharesTiles(member) && member.fused ? { ...member.fused, inputOffsetBytes: 0 } : undefined
    encodeMember(running, format, member, { tensorAmax, searchAmax, fused }, isKept ? offset : undefined)
    offset += bf16Bytes(member)
  }
}

/** Members one after the other as BF16 at the start of the input region; those of another dtype are read behind all of them first. */
function loadMembers(running: Running, members: readonly WorkerMember[]): void {
  const { arena } = running
  const scratch = residentBytes(members)
  let offset = 0
  for (const member of members) {
    const { dtype, source, sourceName } = member
    const end = offset + bf16Bytes(member)
    if (dtype === 'BF16') readSource(running, member, 0, arena.input().subarray(offset, end))
    else {
      const raw = arena.input().subarray(scratch, scratch + source.sizeBytes)
      readSource(running, member, 0, raw)
      assertFinite(arena, dtype, scratch, source.sizeBytes, sourceName)
      toBf16(arena, dtype, scratch, member.rows * member.cols)
      arena.input().set(arena.output().subarray(0, end - offset), offset)
    }
    offset = end
  }
}

/** Largest absolute value of each member; throws WEIGHT_NOT_FINITE. Resident members are scanned in place, others streamed. */
function scanMembers(running: Running, members: readonly WorkerMember[], isKept: boolean): readonly number[] {
  let offset = 0
  return members.map((member) => {
    let amax = 0
    if (isKept) {
      amax = scanRegion(running.arena, offset, member.rows * member.cols, member.sourceName)
      offset += bf16Bytes(member)
      return amax
    }
    forEachRowChunk(running, member, (rows) => {
      amax = Math.max(amax, scanRegion(running.arena, 0, rows * member.cols, member.sourceName))
    })
    return amax
  })
}

function resolveTensorAmax(
  running: Running,
  format: ModuleFormat,
  profile: ExportProfile,
  members: readonly WorkerMember[],
  amaxes: readonly number[],
): number {
  if (!needsTensorAmax(format.format)) return 0
  const amax = Math.max(0, ...amaxes)
  if (amax > 0) return amax
  const outcome = profile === 'hardened' ? 'repaired' : 'reproduced'
  for (const member of members) running.deadWeights.push({ name: member.weight.name, outcome })
  return profile === 'hardened' ? DEAD_WEIGHT_AMAX : 0
}

function encodeMember(
  running: Running,
  format: ModuleFormat,
  member: WorkerMember,
  maxima: Pick<EncodeRequest, 'tensorAmax' | 'searchAmax' | 'fused'>,
  residentOffset: number | undefined,
): void {
  const { arena } = running
  const hashWeight = createHash('sha256')
  const hashScale = createHash('sha256')
  let doneWeight = 0
  let doneScale = 0
  let scale2: number | undefined
  const { transform } = member.weight
  const scratch = new Uint8Array(transform === undefined ? 0 : encodedBytes(member))
  const encodeRows = (rows: number, inputOffsetBytes: number): void => {
    const weightBytes = (member.weight.sizeBytes * rows) / member.rows
    const perTensorScale = member.weightScale.sizeBytes === 4
    // Only the last chunk of a matrix can end inside a tile, and then the tile has a scale of its own.
    const scaleRows = (count: number): number =>
      Math.ceil(count / (format.format === 'fp8_pb_wo' ? ROW_GRANULE : 1))
    const scaleShare = scaleRows(rows) / scaleRows(member.rows)
    const scaleBytes = perTensorScale ? 4 : member.weightScale.sizeBytes * scaleShare
    const scaleOffset = align8(weightBytes)
    const request = { inputOffsetBytes, rows, cols: member.cols, ...maxima }
    const encoded = arena.encode(format, request, {
      weightOffsetBytes: 0,
      weightScaleOffsetBytes: scaleOffset,
    })
    scale2 = encoded.weightScale2
    const encodedWeight = arena.output().subarray(0, weightBytes)
    if (maxima.fused !== undefined && encodedWeight.some(isE4m3Nan))
      running.deadWeights.push({ name: member.weight.name, outcome: 'uncovered' })
    const weight =
      transform === undefined
        ? encodedWeight
        : transformBytes(transform, encodedWeight, member.cols, scratch.subarray(0, weightBytes))
    hashWeight.update(weight)
    writeOutput(running, member.weight, doneWeight, weight)
    doneWeight += weightBytes
    if (perTensorScale && doneScale > 0) return
    const scale = arena.output().subarray(scaleOffset, scaleOffset + scaleBytes)
    hashScale.update(scale)
    writeOutput(running, member.weightScale, doneScale, scale)
    doneScale += scaleBytes
  }
  if (residentOffset !== undefined) encodeRows(member.rows, residentOffset)
  else {
    forEachRowChunk(running, member, (rows) => {
      // Formats without a tensor amax have not been scanned yet.
      if (!needsTensorAmax(format.format)) scanRegion(arena, 0, rows * member.cols, member.sourceName)
      encodeRows(rows, 0)
    })
  }
  running.hashes.push({ tensor: member.weight.index, sha256: hashWeight.digest('hex') })
  running.hashes.push({ tensor: member.weightScale.index, sha256: hashScale.digest('hex') })
  if (member.weightScale2 !== undefined) {
    invariant(scale2 !== undefined, `${format.format} gave no tensor scale`)
    const stored = member.weightScale2.transform === 'reciprocal' ? Math.fround(1 / scale2) : scale2
    writeWhole(running, member.weightScale2, new Uint8Array(Float32Array.of(stored).buffer))
  }
  if (member.weightShape !== undefined) {
    const sizes = BigInt64Array.of(BigInt(member.rows), BigInt(member.cols))
    writeWhole(running, member.weightShape, new Uint8Array(sizes.buffer))
  }
}

function isE4m3Nan(code: number): boolean {
  return (code & 0x7f) === 0x7f
}

function writeWhole(running: Running, place: OutputPlace, bytes: Uint8Array): void {
  writeOutput(running, place, 0, bytes)
  running.hashes.push({ tensor: place.index, sha256: createHash('sha256').update(bytes).digest('hex') })
}

/** Streams a member through the start of the input region as BF16, `visit` seeing one chunk of rows at a time. */
function forEachRowChunk(running: Running, member: WorkerMember, visit: (rows: number) => void): void {
  const { arena } = running
  const elementBytes = storedElementBytes(member.dtype)
  const rowBytes = member.cols * elementBytes
  const rowsAtOnce = chunkRows(member)
  for (let row = 0; row < member.rows; row += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, member.rows - row)
    readSource(running, member, row * rowBytes, arena.input().subarray(0, rows * rowBytes))
    if (member.dtype !== 'BF16') {
      assertFinite(arena, member.dtype, 0, rows * rowBytes, member.sourceName)
      toBf16(arena, member.dtype, 0, rows * member.cols)
      arena.input().set(arena.output().subarray(0, rows * member.cols * 2))
    }
    visit(rows)
  }
}

function scanRegion(arena: KernelArena, offsetBytes: number, elementCount: number, name: string): number {
  const { amax, isFinite } = arena.scanBf16(offsetBytes, elementCount)
  if (!isFinite) throw notFinite(name)
  return amax
}

function assertFinite(
  arena: KernelArena,
  dtype: Dtype,
  offsetBytes: number,
  sizeBytes: number,
  name: string,
): void {
  const isFinite =
    dtype === 'BF16'
      ? arena.scanBf16(offsetBytes, sizeBytes / 2).isFinite
      : dtype === 'F16'
        ? arena.scanF16(offsetBytes, sizeBytes / 2).isFinite
        : dtype === 'F32'
          ? arena.scanF32(offsetBytes, sizeBytes / 4).isFinite
          : true
  if (!isFinite) throw notFinite(name)
}

function toBf16(arena: KernelArena, dtype: Dtype, offsetBytes: number, elementCount: number): void {
  if (dtype === 'F32') arena.f32ToBf16(offsetBytes, elementCount, 0)
  else if (dtype === 'F16') arena.f16ToBf16(offsetBytes, elementCount, 0)
  else {
    throw new AppError('DTYPE_UNSUPPORTED', {
      subject: dtype,
      problem: 'only F32 and F16 tensors can be stored as BF16',
      remedy: 'use a checkpoint with BF16, F16 or F32 weights',
    })
  }
}

/** Whole elements of a task's source, hashed as they are stored and then folded. */
function readSource(
  running: Running,
  from: WorkerMember | Extract<WorkerTask, { kind: 'copy' }>,
  offsetBytes: number,
  target: Uint8Array,
): void {
  running.bytesRead += readSourceBytes(from, offsetBytes, target)
  if (running.isPlainCopy) return
  const seen = hashOf(running, from.source)
  if (offsetBytes === seen.doneBytes) {
    seen.hash.update(target)
    seen.doneBytes += target.length
  }
  foldSource(from, offsetBytes, target)
}

function writeOutput(running: Running, place: OutputPlace, offsetBytes: number, bytes: Uint8Array): void {
  invariant(
    offsetBytes + bytes.length <= place.sizeBytes,
    `${place.name} would be written past its planned end`,
  )
  writeFully(place.descriptor, bytes, place.offsetBytes + offsetBytes, place.name)
  running.bytesWritten += bytes.length
}

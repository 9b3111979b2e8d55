/**
 * How much of an arena a task needs and how it is cut into chunks. The host asks the same questions before a run, so that every worker
 * claims the memory of the largest task at the start: what does not fit fails before hours of work, and the peak does not depend on
 * which tasks happen to meet.
 */
import type { Dtype } from '../../shared/domain/dtype.ts'
import { TILE_SIZE } from '../engine/quant/layout.ts'
import type { TaskMemory, WorkerMember, WorkerTask } from './export-protocol.ts'
import { transformedBytes, transformUnitBytes } from './stored-transform.ts'

/** A quantize task up to this size is read once and kept; above it rows are streamed, twice when a tensor amax is needed first. */
const RESIDENT_LIMIT_BYTES = 192 * 1024 * 1024
/** Bytes of a streamed tensor in flight: sequential disk speed, small against the memory budget. */
const CHUNK_BYTES = 32 * 1024 * 1024
/** Streamed chunks are multiples of this many rows, so that they end where tiles do. */
export const ROW_GRANULE = TILE_SIZE

/** What `KernelArena.reserve` must have been given before the task runs. */
export function taskMemory(task: WorkerTask): TaskMemory {
  if (task.kind === 'copy') {
    const inputBytes = Math.min(copyChunkBytes(task), task.source.sizeBytes)
    const isWrittenAsRead = task.output.transform === undefined && task.convertTo === undefined
    return {
      inputBytes,
      outputBytes: isWrittenAsRead ? 0 : transformedBytes(task.output.transform, inputBytes),
    }
  }
  if (isResident(task.members)) {
    const foreign = task.members.filter(({ dtype }) => dtype !== 'BF16')
    const scratchBytes = Math.max(0, ...foreign.map(({ source }) => source.sizeBytes))
    return {
      inputBytes: residentBytes(task.members) + scratchBytes,
      outputBytes: Math.max(...task.members.map(encodedBytes), ...foreign.map(bf16Bytes)),
    }
  }
  const chunks = task.members.map(
    (member) => Math.min(chunkRows(member), member.rows) * member.cols * storedElementBytes(member.dtype),
  )
  const inputBytes = Math.max(...chunks)
  return { inputBytes, outputBytes: Math.max(inputBytes, ...task.members.map(encodedBytes)) }
}

/** Largest memory of any of the tasks, by region. Both 0 for no task. */
export function largestTaskMemory(tasks: Iterable<WorkerTask>): TaskMemory {
  let inputBytes = 0
  let outputBytes = 0
  for (const task of tasks) {
    const memory = taskMemory(task)
    inputBytes = Math.max(inputBytes, memory.inputBytes)
    outputBytes = Math.max(outputBytes, memory.outputBytes)
  }
  return { inputBytes, outputBytes }
}

/** Bytes of a copied tensor that are read at once: whole units of its transform. */
export function copyChunkBytes(task: Extract<WorkerTask, { kind: 'copy' }>): number {
  const unit = transformUnitBytes(task.output.transform, task.columns)
  return Math.max(1, Math.floor(CHUNK_BYTES / unit)) * unit
}

/** Whether all members are read at once and stay, as BF16, while they are scanned and encoded. Shared tiles need the whole fused weight. */
export function isResident(members: readonly WorkerMember[]): boolean {
  if (members.some(sharesTiles)) return true
  return residentBytes(members) <= RESIDENT_LIMIT_BYTES && members.every(({ dtype }) => dtype === 'BF16')
}

/** True for half of a fused expert that has tiles in common with the other half. */
export function sharesTiles({ fused, rows }: WorkerMember): boolean {
  return fused !== undefined && rows % TILE_SIZE !== 0
}

/** Rows of a streamed member that are read at once. */
export function chunkRows({ cols, dtype }: WorkerMember): number {
  const rowBytes = cols * storedElementBytes(dtype)
  return Math.max(ROW_GRANULE, Math.floor(CHUNK_BYTES / rowBytes / ROW_GRANULE) * ROW_GRANULE)
}

/** Room for as many encoded rows as there are at once; chunks need less. */
export function encodedBytes(member: WorkerMember): number {
  const { rows, cols, weight, weightScale } = member
  const rowsAtOnce = Math.max(ROW_GRANULE, Math.floor(RESIDENT_LIMIT_BYTES / (cols * 2)))
  const share = sharesTiles(member) ? 1 : Math.min(rows, rowsAtOnce) / rows
  return (
    align8(Math.ceil(weight.sizeBytes * share)) +
    align8(Math.ceil(Math.max(4, weightScale.sizeBytes * share)))
  )
}

export function bf16Bytes({ rows, cols }: WorkerMember): number {
  return rows * cols * 2
}

export function align8(sizeBytes: number): number {
  return Math.ceil(sizeBytes / 8) * 8
}

/** Bytes of an element of a source tensor; 1 for formats below a byte. */
export function storedElementBytes(dtype: Dtype): 1 | 2 | 4 | 8 {
  switch (dtype) {
    case 'F32':
    case 'I32':
    case 'U32':
      return 4
    case 'F64':
    case 'I64':
    case 'U64':
    case 'C64':
      return 8
    case 'BF16':
    case 'F16':
    case 'I16':
    case 'U16':
      return 2
    default:
      return 1
  }
}

/** Bytes of all members as BF16. */
export function residentBytes(members: readonly WorkerMember[]): number {
  return members.reduce((sum, member) => sum + bf16Bytes(member), 0)
}

/** The line of the journal that vouches for a calibration state. */
import type { FileSeal } from '../../engine/io/node/boundary-file.ts'

/** A calibration state that is durable in a file beside the journal. */
export interface BoundaryRecord extends FileSeal {
  /** One of BOUNDARY_FILES. */
  readonly file: string
  readonly layersDone: number
}

/** Two, so that the last one stays while the next is written. */
export const BOUNDARY_FILES: readonly string[] = ['calibration-0.state', 'calibration-1.state']

/** The `boundary` of a journal line; undefined when it is none. */
export function readBoundaryRecord(value: unknown): BoundaryRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { file, layersDone, sizeBytes, sha256 } = value as Partial<Record<keyof BoundaryRecord, unknown>>
  const isCount = (count: unknown): count is number => Number.isSafeInteger(count) && Number(count) >= 0
  if (typeof file !== 'string' || !BOUNDARY_FILES.includes(file)) return undefined
  if (!isCount(layersDone) || !isCount(sizeBytes)) return undefined
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) return undefined
  return { file, layersDone, sizeBytes, sha256 }
}

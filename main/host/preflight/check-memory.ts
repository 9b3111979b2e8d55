/** The plan's peak against the memory of this machine, or of the container it is in. */
import { totalmem } from 'node:os'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'

/** The plan's number is an upper estimate; measured peaks were at least this share of it. */
const SURE_SHARE = 0.64

export interface Memory {
  readonly totalBytes: number
  /** undefined where the system does not say. */
  readonly availableBytes: number | undefined
}

export function machineMemory(): Memory {
  const limit = process.constrainedMemory()
  const totalBytes = limit > 0 && limit < totalmem() ? limit : totalmem()
  const { availableMemory } = process as { availableMemory?: () => number }
  return { totalBytes, availableBytes: availableMemory?.() }
}

/** `error` when the run cannot fit, `warning` when it does not fit beside what runs now. */
export function checkMemory(
  peakBytes: number,
  { totalBytes, availableBytes }: Memory,
): { readonly severity: 'error' | 'warning'; readonly error: AppError } | undefined {
  const needs = `the run needs up to ${formatBytes(peakBytes, 'en')}`
  if (peakBytes * SURE_SHARE > totalBytes) {
    return { severity: 'error', error: short(`${needs}, there are ${formatBytes(totalBytes, 'en')} in all`) }
  }
  if (availableBytes === undefined || peakBytes <= availableBytes) return undefined
  return { severity: 'warning', error: short(`${needs}, ${formatBytes(availableBytes, 'en')} are free now`) }
}

function short(problem: string): AppError {
  return new AppError('MEMORY_SHORT', {
    subject: 'memory',
    problem,
    remedy: 'use fewer --workers or --samples, or end other programs',
  })
}

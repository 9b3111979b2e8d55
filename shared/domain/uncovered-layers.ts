/** Uncovered experts by layer and fallback, with runs of neighbours written as ranges. Pure. */
import type { UncoveredExpert } from './job.ts'

export interface UncoveredLayer {
  readonly layerIndex: number
  readonly fallback: string
  readonly expertIndices: readonly number[]
}

export function groupUncovered(experts: readonly UncoveredExpert[]): readonly UncoveredLayer[] {
  const groups = new Map<string, { layerIndex: number; fallback: string; expertIndices: number[] }>()
  for (const { layerIndex, expertIndex, fallback } of experts) {
    const key = `${String(layerIndex)}\n${fallback}`
    const group = groups.get(key) ?? { layerIndex, fallback, expertIndices: [] }
    group.expertIndices.push(expertIndex)
    groups.set(key, group)
  }
  return [...groups.values()]
    .map((group) => ({ ...group, expertIndices: group.expertIndices.sort((a, b) => a - b) }))
    .sort((a, b) => a.layerIndex - b.layerIndex)
}

/** [1, 2, 3, 7] -> "1–3, 7". Expects ascending order. */
export function formatRanges(indices: readonly number[]): string {
  const ranges: [first: number, last: number][] = []
  for (const index of indices) {
    const last = ranges.at(-1)
    if (last !== undefined && index === last[1] + 1) last[1] = index
    else ranges.push([index, index])
  }
  return ranges
    .map(([first, last]) => (first === last ? String(first) : `${String(first)}–${String(last)}`))
    .join(', ')
}

/** Cuts the queries of a sequence so that their score matrices stay small. */
import type { QueryBlock } from './full-attention.ts'

/** Scores of one block; well below the allocation limit of an Electron process. */
const MAX_SCORE_BYTES = 256 * 1024 * 1024

/** Blocks of equal length (the last may be shorter) over `time` positions, for `heads` score matrices (batch times heads). */
export function queryBlocks(
  heads: number,
  time: number,
  maxScoreBytes = MAX_SCORE_BYTES,
): readonly QueryBlock[] {
  const rows = Math.max(1, Math.floor(maxScoreBytes / (4 * heads * time)))
  const blocks: QueryBlock[] = []
  for (let start = 0; start < time; start += rows) blocks.push({ start, end: Math.min(time, start + rows) })
  return blocks
}

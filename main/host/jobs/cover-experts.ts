/** Calibration data with samples added until every expert has the tokens that were asked for, as far as the candidates reach. */
import type { CoverageSearch } from '../../../shared/domain/job.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { TokenBatch } from '../../engine/calibration/hidden-states.ts'
import type { MoeModel } from '../../engine/models/moe-model.ts'
import type { StatePlaces } from '../../workers/device-protocol.ts'
import { byteView } from '../../engine/tensor/byte-view.ts'
import type { DeviceClient, OnProgress } from '../pool/device-client.ts'
import { digest } from './journal.ts'
import { keepChoice, readChoice } from './kept-choice.ts'

export interface CoverageRequest {
  readonly model: MoeModel
  readonly descriptors: readonly number[]
  /** All candidates. */
  readonly batch: TokenBatch
  readonly samples: number
  readonly minTokensPerExpert: number
  readonly states: StatePlaces
  /** `quantmill` in the partial folder. */
  readonly ownPath: string
}

export interface CoveredData {
  readonly batch: TokenBatch
  readonly search: CoverageSearch
  readonly bytesRead: number
  /** The samples were chosen by an earlier attempt. */
  readonly isKept: boolean
}

/** With the choice of an earlier attempt, if there is one; a new one is kept. Throws what the device worker and the file system throw. */
export async function coverExperts(
  client: DeviceClient,
  { model, descriptors, batch, samples, minTokensPerExpert, states, ownPath }: CoverageRequest,
  onProgress: OnProgress,
): Promise<CoveredData> {
  const initialSamples = Math.min(samples, batch.batch)
  const request = { model, descriptors, batch, initialSamples, minTokens: minTokensPerExpert, states }
  const sizes = [client.device, batch.batch, batch.time, initialSamples, minTokensPerExpert]
  const key = digest(sizes.join(' '), byteView(batch.ids))
  const kept = await readChoice(ownPath, key, batch.batch)
  const choice = kept === undefined ? await client.scout(request, onProgress) : { ...kept, bytesRead: 0 }
  if (kept === undefined) await keepChoice(ownPath, key, choice)
  const search: CoverageSearch = {
    minTokensPerExpert,
    candidateSamples: batch.batch,
    initialSamples,
    addedSamples: choice.samples.filter((sample) => sample >= initialSamples),
    inOrderSamples: choice.inOrderSamples,
    outOfReach: choice.outOfReach,
  }
  return {
    batch: pickRows(batch, choice.samples),
    search,
    bytesRead: choice.bytesRead,
    isKept: kept !== undefined,
  }
}

/** One sentence for the log. */
export function describeSearch(search: CoverageSearch): string {
  const { minTokensPerExpert, candidateSamples, initialSamples, addedSamples, inOrderSamples, outOfReach } =
    search
  const found = `${String(addedSamples.length)} samples added to ${String(initialSamples)} of ${String(candidateSamples)} for ${String(minTokensPerExpert)} tokens per expert; in order it would have taken ${String(inOrderSamples)}`
  return outOfReach.length === 0 ? found : `${found}; ${String(outOfReach.length)} experts are out of reach`
}

/** Experts that received fewer tokens than foreseen: a decision of a router that is too close to call may turn with the batch. */
export function countShort(
  { minTokensPerExpert, outOfReach }: CoverageSearch,
  expertTokens: CalibrationStats['expertTokens'],
): number {
  let short = -outOfReach.length
  for (const counts of expertTokens.values())
    for (const count of counts) if (count < minTokensPerExpert) short += 1
  return Math.max(0, short)
}

function pickRows({ time, ids }: TokenBatch, rows: readonly number[]): TokenBatch {
  const picked = new Int32Array(rows.length * time)
  for (const [place, row] of rows.entries())
    picked.set(ids.subarray(row * time, (row + 1) * time), place * time)
  return { batch: rows.length, time, ids: picked }
}

/** What calibration found about the input channels of a linear or of one expert, and activation maxima once channels are rescaled. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { CalibrationStats } from '../calibration/stats.ts'
import { FoldMap } from './fold-map.ts'
import type { SmoothingGroup, SmoothingVectors } from './smoothing.ts'

export interface ChannelInputs {
  /** f32 [channels] */
  readonly amax: Float32Array
  /** f32 [channels]; mean magnitude over the rows. */
  readonly meanAbs: Float32Array
  /** Tokens that came; 0 = nothing is known. */
  readonly rowCount: number
}

const EXPERT_SITE = /^(?<experts>.+\.mlp\.experts)\.(?<projection>gate_up|down)_proj_input_quantizer$/
const LINEAR_SITE = /^(?<module>.+)\.input_quantizer$/
const EXPERT_MODULE = /^(?<experts>.+\.experts)\.(?<expert>\d+)\.(?<projection>\w+)_proj$/
/** Mean of x² over the square of the mean of |x|, of a normal distribution. */
const SQUARE_OF_MEAN = Math.PI / 2

/** `copy` = which expert, 0 for a linear. Throws AMAX_MISSING without channels of that width. */
export function channelInputs(
  stats: CalibrationStats,
  site: string,
  copy: number,
  width: number,
): ChannelInputs {
  const channels = stats.channels.get(site)
  if (channels?.width !== width || channels.amax.length < (copy + 1) * width) throw missing(site)
  const experts = EXPERT_SITE.exec(site)?.groups?.['experts']
  const rowCount = experts === undefined ? stats.tokenCount : (stats.expertTokens.get(experts)?.[copy] ?? 0)
  const own = (values: Float32Array): Float32Array => values.subarray(copy * width, (copy + 1) * width)
  return { amax: own(channels.amax), meanAbs: own(channels.meanAbs), rowCount }
}

/** Throws AMAX_MISSING for the first group that the statistics have no channels of. */
export function requireChannels(stats: CalibrationStats, groups: readonly SmoothingGroup[]): void {
  for (const { site, width, copies } of groups) channelInputs(stats, site, copies - 1, width)
}

/** Quantizer and copy of a module's input: `….experts.3.up_proj` reads what all gates and ups of expert 3 read. */
export function siteOfModule(module: string): { readonly site: string; readonly copy: number } {
  const { experts, expert, projection } = EXPERT_MODULE.exec(module)?.groups ?? {}
  if (expert === undefined) return { site: `${module}.input_quantizer`, copy: 0 }
  const name = projection === 'down' ? 'down_proj' : 'gate_up_proj'
  return { site: `${experts ?? ''}.${name}_input_quantizer`, copy: Number(expert) }
}

/**
 * f64 [channels]: squared inputs of each, added up over the rows. Channels are taken as independent and normally distributed, because their
 * mean magnitude is all that is kept of them.
 */
export function inputSquares({ meanAbs, rowCount }: ChannelInputs): Float64Array<ArrayBuffer> {
  return Float64Array.from(meanAbs, (mean) => SQUARE_OF_MEAN * rowCount * mean * mean)
}

/** Largest input after the channels are divided: max of amax_j / s_j, in f32. */
export function smoothedAmax(amax: ArrayLike<number>, scales: ArrayLike<number>): number {
  let largest = 0
  for (let channel = 0; channel < amax.length; channel += 1) {
    largest = Math.max(largest, Math.fround((amax[channel] ?? 0) / (scales[channel] ?? 1)))
  }
  return largest
}

/** Maxima of every quantizer as they are once the vectors are folded in; f32, lengths as before. Throws AMAX_MISSING. */
export function smoothedAmaxes(
  stats: CalibrationStats,
  vectors: SmoothingVectors,
): ReadonlyMap<string, Float32Array> {
  const folds = new FoldMap(vectors.keys())
  return new Map(
    [...stats.amax].map(([site, amax]) => {
      const smoothed = amax.map((value, copy) => {
        const columns = folds.foldOf(readerOf(site, copy))?.columns
        if (columns === undefined) return value
        const vector = vectors.get(columns.key)
        const width = stats.channels.get(site)?.width
        if (vector === undefined || width === undefined) throw missing(site)
        const scales = vector.subarray(columns.copy * width, (columns.copy + 1) * width)
        return smoothedAmax(channelInputs(stats, site, copy, width).amax, scales)
      })
      return [site, smoothed]
    }),
  )
}

/** A module that reads what the quantizer watches; '' for keys and values of the cache. */
function readerOf(site: string, copy: number): string {
  const { experts, projection } = EXPERT_SITE.exec(site)?.groups ?? {}
  if (experts !== undefined) {
    return `${experts}.${String(copy)}.${projection === 'down' ? 'down' : 'gate'}_proj`
  }
  return LINEAR_SITE.exec(site)?.groups?.['module'] ?? ''
}

function missing(site: string): AppError {
  return new AppError('AMAX_MISSING', {
    subject: site,
    problem: 'the statistics have no channels of it, which rescaling is made from',
    remedy: 'calibrate with this recipe, or give a dump made with --statistics full',
  })
}

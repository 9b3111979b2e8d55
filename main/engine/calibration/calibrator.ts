/** Calibration: the forward pass with an observer on every linear, as statistics under ModelOpt's quantizer names. One instance per run. */
import { ChannelCollector } from './channel-collector.ts'
import { percentileName, RowMaximaCollector } from './row-maxima-collector.ts'
import { mergeStats, EMPTY_STATS, type CalibrationStats } from './stats.ts'
import { createForwardPass } from './create-forward-pass.ts'
import { DOWN_SITE, GATE_UP_SITE } from './forward/experts.ts'
import { KEY_SITE, VALUE_SITE } from './forward/full-attention.ts'
import type { AmaxSink } from './graph-cache.ts'
import type { MicroBatch } from './hidden-states.ts'
import type { ForwardOptions, LayerControl, LayerPass, StateRows } from './layer-pass.ts'

export type CalibratorOptions = Omit<ForwardOptions, 'shouldObserve'> & {
  /** Of row maxima, see row-maxima-collector.ts. Absent = none is collected. */
  readonly percentile?: number | undefined
}

export class Calibrator {
  private readonly forward: LayerPass
  private readonly options: CalibratorOptions

  private constructor(options: CalibratorOptions, forward: LayerPass) {
    this.options = options
    this.forward = forward
  }

  /** Checks the token batches and allocates their states; reads nothing. Throws CALIBRATION_DATA_INVALID, CALIBRATION_DATA_EMPTY. */
  static async create(options: CalibratorOptions): Promise<Calibrator> {
    return new Calibrator(options, await createForwardPass({ ...options, shouldObserve: true }))
  }

  get tokenCount(): number {
    return this.forward.tokenCount
  }

  /** Hidden states as of the last readStates; always current where they live on this side. */
  get batches(): readonly MicroBatch[] {
    return this.forward.batches
  }

  /** Current hidden states, f32 [batch · time, H] per micro-batch; output of the last layer that ran. */
  async readStates(): Promise<readonly MicroBatch[]> {
    await this.forward.readStates()
    return this.forward.batches
  }

  /** Cost of runs on a GPU by kind. */
  get costs(): LayerPass['costs'] {
    return this.forward.costs
  }

  /** Starts the pass: hidden states become embedding rows. */
  embed(): Promise<void> {
    return this.forward.embed()
  }

  /**
   * Runs the next layer; layers must be run in order. Statistics of this layer alone: `<linear>.input_quantizer` [1] of every linear,
   * `gate_up_proj_input_quantizer` and `down_proj_input_quantizer` [E] of its experts, `k_bmm_quantizer` and `v_bmm_quantizer` [1], tokens
   * and routing weights per expert [E], channels if they were asked for; tokenCount is 0, because it belongs to the whole run (see finish).
   */
  async runLayer(layerIndex: number, control: LayerControl = {}): Promise<CalibrationStats> {
    const { prefix, text } = this.options.model
    const layer = `${prefix}.layers.${String(layerIndex)}.`
    const amax = new Map<string, Float32Array>()
    for (const site of [GATE_UP_SITE, DOWN_SITE]) {
      amax.set(`${layer}${site}_input_quantizer`, new Float32Array(text.expertCount))
    }
    const collector = new ChannelCollector()
    const rows = new RowMaximaCollector()
    const isPerExpert = (site: string): boolean => site === GATE_UP_SITE || site === DOWN_SITE
    const routing = await this.forward.runLayer(
      layerIndex,
      (site, slot, value, channels, rowMaxima) => {
        const quantizer = `${layer}${quantizerOf(site)}`
        raise(amax, quantizer, slot, value)
        this.addRows(rows, quantizer, slot, rowMaxima)
        const copies = isPerExpert(site) ? text.expertCount : 1
        if (channels !== undefined) collector.add(quantizer, copies, slot, channels)
      },
      control,
    )
    const experts = `${layer}mlp.experts`
    const counts = routing.counts()
    return {
      amax,
      expertTokens: new Map([[experts, counts]]),
      routingWeights: new Map([[experts, routing.weightSums()]]),
      channels: collector.finish((quantizer, copy) =>
        quantizer.startsWith(`${experts}.`) ? (counts[copy] ?? 0) : this.tokenCount,
      ),
      percentiles: this.percentilesOf(rows, amax),
      tokenCount: 0,
    }
  }

  /** `finishStats`, and frees the graphs. */
  async finish(control: LayerControl = {}): Promise<CalibrationStats> {
    const stats = await this.finishStats(control)
    await this.release()
    return stats
  }

  /** After the last layer: statistics of lm_head's input and the number of tokens. The caller still has to release. */
  async finishStats(control: LayerControl = {}): Promise<CalibrationStats> {
    const amax = new Map<string, Float32Array>()
    const collector = new ChannelCollector()
    const rows = new RowMaximaCollector()
    const sink: AmaxSink = (site, slot, value, channels, rowMaxima) => {
      raise(amax, quantizerOf(site), slot, value)
      this.addRows(rows, quantizerOf(site), slot, rowMaxima)
      if (channels !== undefined) collector.add(quantizerOf(site), 1, slot, channels)
    }
    await this.forward.runFinalNorm(sink, control)
    const { tokenCount } = this
    const channels = collector.finish(() => tokenCount)
    return { ...EMPTY_STATS, amax, channels, percentiles: this.percentilesOf(rows, amax), tokenCount }
  }

  /** Embeds, runs every layer and finishes. */
  async runAll(control: LayerControl = {}): Promise<CalibrationStats> {
    await this.embed()
    let stats = EMPTY_STATS
    for (let layer = 0; layer < this.options.model.text.layerCount; layer += 1) {
      stats = mergeStats(stats, await this.runLayer(layer, control))
    }
    return mergeStats(stats, await this.finish(control))
  }

  private addRows(
    rows: RowMaximaCollector,
    quantizer: string,
    slot: number,
    rowMaxima: Float32Array | undefined,
  ): void {
    if (this.options.percentile !== undefined && rowMaxima !== undefined) rows.add(quantizer, slot, rowMaxima)
  }

  private percentilesOf(
    rows: RowMaximaCollector,
    amax: ReadonlyMap<string, Float32Array>,
  ): ReadonlyMap<string, Float32Array> {
    const { percentile } = this.options
    if (percentile === undefined) return new Map()
    const values = rows.finish(percentile, (quantizer) => amax.get(quantizer)?.length ?? 1)
    return new Map([...values].map(([quantizer, of]) => [percentileName(quantizer, percentile), of]))
  }

  exportStates(take: StateRows, rowLimit?: number): Promise<void> {
    return this.forward.exportStates(take, rowLimit)
  }

  /** Instead of embed. */
  importStates(fill: StateRows): Promise<void> {
    return this.forward.importStates(fill)
  }

  /** Frees the graphs; also after a failure. */
  release(): Promise<void> {
    return this.forward.release()
  }
}

/** ModelOpt's name of the quantizer at a site of our graphs. */
function quantizerOf(site: string): string {
  if (site === GATE_UP_SITE || site === DOWN_SITE) return `${site}_input_quantizer`
  if (site === KEY_SITE || site === VALUE_SITE) return site
  return `${site}.input_quantizer`
}

function raise(amax: Map<string, Float32Array>, key: string, index: number, value: number): void {
  let values = amax.get(key)
  if (values === undefined) {
    values = new Float32Array(1)
    amax.set(key, values)
  }
  const present = values[index] ?? 0
  values[index] = Number.isNaN(value) || Number.isNaN(present) ? Number.NaN : Math.max(present, value)
}

/**
 * The model's forward pass over all calibration tokens, one layer at a time and of each layer one unit of weights at a time. Routing,
 * gathering and adding up are done here, the arithmetic of a unit in a graph. Holds one unit of weights and of the states of all tokens as
 * much as it may (stored-states.ts).
 */
import { AppError, invariant } from '../../../shared/errors/app-error.ts'
import { f32Tensor, type DeviceKind, type GraphRuntime, type GraphTensor } from '../onnx/graph-runtime.ts'
import { firstNotFinite } from '../tensor/row-math.ts'
import { embedTokens } from './embed-tokens.ts'
import { DOWN_SITE, expertsGraph, GATE_UP_SITE } from './forward/experts.ts'
import { fullAttentionGraph } from './forward/full-attention.ts'
import { finalNormGraph } from './forward/head.ts'
import { linearAttentionGraph } from './forward/linear-attention.ts'
import { moeFrontGraph } from './forward/moe-front.ts'
import { rotaryFeeds } from './forward/rotary-table.ts'
import { queryBlocks } from './forward/query-blocks.ts'
import { GraphCache, f32Output, type AmaxSink, type GraphVariant } from './graph-cache.ts'
import type { MicroBatch, RoutedRows } from './hidden-states.ts'
import {
  DEFAULT_UNIT_BYTES,
  watchedRows,
  type ForwardOptions,
  type LayerControl,
  type LayerPass,
  type StateRows,
} from './layer-pass.ts'
import { prepareWeight } from './prepare-weight.ts'
import { RoutingTable } from './routing-table.ts'
import { StoredStates } from './stored-states.ts'
import { WeightDecoder } from './weight-decoder.ts'
import { globalSlices, layerUnits, type ExpertUnit, type NamedUnit } from './weight-units.ts'

/** Tokens of one expert in one run. */
const EXPERT_RUN_ROWS = 4096
/** Scores of attention in one block; with more, a layer of attention would need more memory than any other. */
const SCORE_BYTES = 32 * 1024 * 1024
/** Experts side by side in one run; a CPU gains nothing from more than one. */
const EXPERTS_PER_RUN = { cpu: 1, webgpu: 8, cuda: 8 } as const

export type { ForwardOptions, LayerControl } from './layer-pass.ts'

export class ForwardPass implements LayerPass {
  readonly costs: LayerPass['costs'] = new Map()
  private readonly options: ForwardOptions
  private readonly states: StoredStates
  private readonly plainGraphs: GraphCache
  private readonly roundingGraphs: GraphCache
  /** Of the layer that runs, and where they run. */
  private graphs: GraphCache
  private device: DeviceKind
  private readonly decoder = new WeightDecoder()
  /** Gathered rows of one run of experts. */
  private readonly gathered = new WeightDecoder()
  private passes = { done: 0, total: 0 }
  /** Of the layer that runs. */
  private variant: GraphVariant | undefined

  constructor(options: ForwardOptions) {
    this.options = options
    const {
      model,
      runtime,
      roundingRuntime = runtime,
      shouldObserve = true,
      shouldObserveChannels,
      makeInterceptors = () => [],
    } = options
    this.states = new StoredStates(options.batches, model.text, options.stateMemory)
    const cacheFor = (on: GraphRuntime): GraphCache =>
      new GraphCache({
        config: model.text,
        runtime: on,
        shouldObserve,
        shouldObserveChannels,
        makeInterceptors,
      })
    this.plainGraphs = cacheFor(runtime)
    this.roundingGraphs = roundingRuntime === runtime ? this.plainGraphs : cacheFor(roundingRuntime)
    this.graphs = this.plainGraphs
    this.device = runtime.device
  }

  get batches(): readonly MicroBatch[] {
    return this.states.batches
  }

  get tokenCount(): number {
    return this.states.tokenCount
  }

  async embed(): Promise<void> {
    const { model, reader } = this.options
    await embedTokens(globalSlices(model).embedding, reader, this.batches, (index, position, vector) => {
      this.states.hidden.writeRow(index, position, vector)
    })
  }

  /** Starts from given hidden states instead of embeddings: `copyRows` fills f32 [rows, H] with the states of rows `firstRow`.. */
  startFrom(copyRows: (firstRow: number, target: Float32Array) => void): void {
    const { hiddenSize } = this.options.model.text
    for (const [index, { batch, time, firstRow }] of this.batches.entries()) {
      const states = new Float32Array(batch * time * hiddenSize)
      copyRows(firstRow, states)
      this.states.hidden.write(index, states)
    }
  }

  async runLayer(layerIndex: number, sink: AmaxSink, control: LayerControl = {}): Promise<RoutingTable> {
    const { model, maxUnitBytes = DEFAULT_UNIT_BYTES } = this.options
    const { expertCount, topK } = model.text
    const units = layerUnits(model, layerIndex, maxUnitBytes)
    this.passes = { done: 0, total: 3 * this.tokenCount }
    this.useVariant(this.options.variantOf?.(layerIndex))
    await this.runMixer(layerIndex, units.mixer, sink, control)
    const routing = new RoutingTable(this.tokenCount, expertCount, topK)
    await this.runMoeFront(layerIndex, units.moeFront, routing, sink, control)
    for (const unit of units.experts) await this.runExperts(unit, routing, sink, control)
    this.checkStates(layerIndex, 'its output')
    return routing
  }

  /** Final norm of the hidden states into `normed` of every micro-batch. */
  async runFinalNorm(sink: AmaxSink, control: LayerControl = {}): Promise<void> {
    const { model } = this.options
    this.useVariant(undefined)
    const { norm } = globalSlices(model)
    const unit: NamedUnit = {
      names: ['norm.weight'],
      unit: { layerIndex: undefined, label: 'final norm', slices: [norm] },
    }
    const weights = await this.loadNamed(unit)
    for (const [index, batch] of this.batches.entries()) {
      this.checkCancelled(control)
      const feeds = {
        x: f32Tensor([batch.batch * batch.time, model.text.hiddenSize], batch.hidden),
        ...weights,
      }
      const results = await this.graphs.run('final_norm', finalNormGraph, feeds, sink)
      this.states.normed.write(index, f32Output(results, 'normed'))
    }
    this.decoder.reset()
  }

  readStates(): Promise<void> {
    return Promise.resolve()
  }

  exportStates(take: StateRows, rowLimit = Infinity): Promise<void> {
    return Promise.resolve().then(() => {
      for (const batch of this.batches) if (batch.firstRow < rowLimit) take(batch.firstRow, batch.hidden)
    })
  }

  importStates(fill: StateRows): Promise<void> {
    return Promise.resolve().then(() => {
      for (const [index, { batch, time, firstRow }] of this.batches.entries()) {
        const rows = this.gathered.take(batch * time * this.options.model.text.hiddenSize)
        fill(firstRow, rows)
        this.states.hidden.write(index, rows)
        this.gathered.reset()
      }
    })
  }

  /** Frees the graphs. Idempotent. */
  async release(): Promise<void> {
    await this.plainGraphs.release()
    await this.roundingGraphs.release()
  }

  private useVariant(variant: GraphVariant | undefined): void {
    const { runtime, roundingRuntime = runtime } = this.options
    this.variant = variant
    this.graphs = variant === undefined ? this.plainGraphs : this.roundingGraphs
    this.device = (variant === undefined ? runtime : roundingRuntime).device
  }

  private async runMixer(
    layerIndex: number,
    unit: NamedUnit,
    sink: AmaxSink,
    control: LayerControl,
  ): Promise<void> {
    const { text } = this.options.model
    const weights = await this.loadNamed(unit)
    const isLinear = text.layerKinds[layerIndex] === 'linear_attention'
    for (const [index, batch] of this.batches.entries()) {
      this.checkCancelled(control)
      const x = f32Tensor([batch.batch, batch.time, text.hiddenSize], batch.hidden)
      const results = isLinear
        ? await this.graphs.run(
            'linear_attention',
            linearAttentionGraph,
            { x, ...weights },
            sink,
            this.variant,
          )
        : await this.runFullAttention(batch, { x, ...weights }, sink)
      this.states.hidden.write(index, f32Output(results, 'y'))
      this.advance(batch.batch * batch.time, control)
    }
    this.checkStates(layerIndex, 'its attention')
    this.decoder.reset()
  }

  private runFullAttention(
    { batch, time }: MicroBatch,
    feeds: Readonly<Record<string, GraphTensor>>,
    sink: AmaxSink,
  ): Promise<ReadonlyMap<string, GraphTensor>> {
    const { text } = this.options.model
    const blocks = queryBlocks(batch * text.headCount, time, SCORE_BYTES)
    const key = blocks.length > 1 ? `full_attention of ${String(batch)} x ${String(time)}` : 'full_attention'
    const rotary = rotaryFeeds(time, text.rotaryDim, text.ropeTheta)
    return this.graphs.run(
      key,
      (config, interceptors) => fullAttentionGraph(config, interceptors, blocks),
      { ...feeds, ...rotary },
      sink,
      this.variant,
    )
  }

  private async runMoeFront(
    layerIndex: number,
    unit: NamedUnit,
    routing: RoutingTable,
    sink: AmaxSink,
    control: LayerControl,
  ): Promise<void> {
    const { hiddenSize } = this.options.model.text
    const weights = await this.loadNamed(unit)
    for (const [index, batch] of this.batches.entries()) {
      this.checkCancelled(control)
      const rows = batch.batch * batch.time
      const feeds = { x: f32Tensor([rows, hiddenSize], batch.hidden), ...weights }
      const results = await this.graphs.run('moe_front', moeFrontGraph, feeds, sink, this.variant)
      const probability = f32Output(results, 'probability')
      if (firstNotFinite(probability) >= 0) throw activationNotFinite(layerIndex, 'its router')
      routing.add(batch.firstRow, probability)
      this.states.hidden.write(index, f32Output(results, 'y'))
      this.states.normed.write(index, f32Output(results, 'normed'))
      this.advance(rows, control)
    }
    this.decoder.reset()
  }

  private async runExperts(
    { unit, firstExpert, expertCount }: ExpertUnit,
    routing: RoutingTable,
    sink: AmaxSink,
    control: LayerControl,
  ): Promise<void> {
    const bytes = await this.options.reader.read(unit)
    const pending: ExpertWork[] = []
    for (let index = 0; index < expertCount; index += 1) {
      const expert = firstExpert + index
      const routed = routing.rowsOf(expert)
      const extra = control.probe?.inputsOf(expert)
      if (routed.to === routed.from && extra === undefined) continue
      const [gate, up, down] = unit.slices.slice(3 * index, 3 * index + 3)
      invariant(
        gate !== undefined && up !== undefined && down !== undefined,
        `expert ${String(expert)} is incomplete`,
      )
      const gateUp = this.decoder.decodeTogether([gate, up], bytes.slice(3 * index, 3 * index + 2))
      const downValues = this.decoder.decode(down, bytes[3 * index + 2] ?? new Uint8Array(0))
      for (let from = routed.from; from < routed.to; from += EXPERT_RUN_ROWS) {
        const to = Math.min(routed.to, from + EXPERT_RUN_ROWS)
        pending.push({ expert, gateUp, down: downValues, rows: { ...routed, from, to } })
      }
      if (extra !== undefined) pending.push({ expert, gateUp, down: downValues, rows: extra })
    }
    this.options.reader.release(unit)
    const perRun = EXPERTS_PER_RUN[this.device]
    for (let first = 0; first < pending.length; first += perRun) {
      this.checkCancelled(control)
      await this.runExpertGroup(pending.slice(first, first + perRun), sink, control)
    }
    this.decoder.reset()
  }

  private async runExpertGroup(
    group: readonly ExpertWork[],
    sink: AmaxSink,
    control: LayerControl,
  ): Promise<void> {
    const { hiddenSize, expertWidth, topK } = this.options.model.text
    const feeds: Record<string, GraphTensor> = {}
    const inputs = group.map(({ rows }) => this.expertInputs(rows))
    for (const [slot, { gateUp, down }] of group.entries()) {
      const x = inputs[slot] ?? new Float32Array(0)
      feeds[`x.${String(slot)}`] = f32Tensor([x.length / hiddenSize, hiddenSize], x)
      feeds[`gate_up.${String(slot)}`] = f32Tensor([2 * expertWidth, hiddenSize], gateUp)
      feeds[`down.${String(slot)}`] = f32Tensor([hiddenSize, expertWidth], down)
    }
    const results = await this.graphs.run(
      `experts x ${String(group.length)}`,
      (config, interceptors) => expertsGraph(config, interceptors, group.length),
      feeds,
      (site, slot, amax, ...details) => {
        const isPerExpert = site === GATE_UP_SITE || site === DOWN_SITE
        sink(site, isPerExpert ? (group[slot]?.expert ?? 0) : slot, amax, ...details)
      },
      this.variant,
      group.map(({ expert }) => expert),
    )
    for (const [slot, { expert, rows }] of group.entries()) {
      const y = f32Output(results, `y.${String(slot)}`)
      if (rows instanceof Float32Array) control.probe?.take(expert, y)
      else {
        this.show(control.watch, expert, rows, inputs[slot] ?? new Float32Array(0), y)
        this.states.hidden.addScaled(rows, y)
        this.advance((rows.to - rows.from) / topK, control)
      }
    }
    this.gathered.reset()
  }

  private show(
    watch: LayerControl['watch'],
    expert: number,
    routed: RoutedRows,
    inputs: Float32Array,
    outputs: Float32Array,
  ): void {
    const end = watchedRows(watch, expert, routed) * this.options.model.text.hiddenSize
    if (end > 0) watch?.watch(expert, inputs.subarray(0, end), outputs.subarray(0, end))
  }

  private expertInputs(rows: ExpertWork['rows']): Float32Array<ArrayBuffer> {
    if (rows instanceof Float32Array) return rows
    const { hiddenSize } = this.options.model.text
    const x = this.gathered.take((rows.to - rows.from) * hiddenSize)
    this.states.normed.gather(rows, x)
    return x
  }

  /** Decodes a unit into feeds, with norm scales as 1 + w and A_log as −exp(A_log), and gives its bytes back. */
  private async loadNamed({ unit, names }: NamedUnit): Promise<Record<string, GraphTensor>> {
    const { reader } = this.options
    const bytes = await reader.read(unit)
    const feeds: Record<string, GraphTensor> = {}
    for (const [index, slice] of unit.slices.entries()) {
      const name = names[index] ?? slice.name
      const values = this.decoder.decode(slice, bytes[index] ?? new Uint8Array(0))
      prepareWeight(name, values)
      feeds[name] = f32Tensor(slice.shape, values)
    }
    reader.release(unit)
    return feeds
  }

  private advance(tokens: number, control: LayerControl): void {
    this.passes.done += tokens
    control.onProgress?.(Math.round(this.passes.done), this.passes.total)
  }

  private checkCancelled(control: LayerControl): void {
    throwIfCancelled(control)
  }

  private checkStates(layerIndex: number, where: string): void {
    if (this.batches.some(({ hidden }) => firstNotFinite(hidden) >= 0))
      throw activationNotFinite(layerIndex, where)
  }
}

interface ExpertWork {
  readonly expert: number
  readonly gateUp: Float32Array<ArrayBuffer>
  readonly down: Float32Array<ArrayBuffer>
  /** Tokens of the expert, or inputs of a probe. */
  readonly rows: RoutedRows | Float32Array<ArrayBuffer>
}

export function throwIfCancelled({ isCancelled }: LayerControl): void {
  if (isCancelled?.() === true) {
    throw new AppError('CANCELLED', {
      subject: 'calibration',
      problem: 'it was cancelled',
      remedy: 'start the run again',
    })
  }
}

/** The error for `where` of a layer not being finite. */
export function activationNotFinite(layerIndex: number, where: string): AppError {
  return new AppError('ACTIVATION_NOT_FINITE', {
    subject: `layer ${String(layerIndex)}`,
    problem: `${where} is NaN or infinite although the weights are finite`,
    remedy: 'check that weights and config.json belong together',
  })
}

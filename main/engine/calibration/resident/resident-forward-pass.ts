/**
 * The forward pass with its activations on the device: hidden states of all tokens stay there from layer to layer, every weight is uploaded
 * once per layer, and only router probabilities and row maxima come back. Units of experts run one after the other over all tokens; their
 * outputs wait on the device and are added up when the layer, or the memory for them, is at its end. Memory: memory-plan.ts.
 */
import { invariant } from '../../../../shared/errors/app-error.ts'
import {
  f32Tensor,
  type DeviceTensor,
  type GraphFeed,
  type ResidentDevice,
} from '../../onnx/graph-runtime.ts'
import { firstNotFinite, propagatingMaximum } from '../../tensor/row-math.ts'
import { DOWN_SITE, GATE_UP_SITE } from '../forward/experts.ts'
import { fullAttentionGraph } from '../forward/full-attention.ts'
import { finalNormGraph } from '../forward/head.ts'
import { linearAttentionGraph } from '../forward/linear-attention.ts'
import { moeFrontGraph, ROUTER_SITE } from '../forward/moe-front.ts'
import { queryBlocks } from '../forward/query-blocks.ts'
import { rotaryFeeds } from '../forward/rotary-table.ts'
import { activationNotFinite, throwIfCancelled } from '../forward-pass.ts'
import { f32Output, type AmaxSink } from '../graph-cache.ts'
import { cutBatches, type MicroBatch, type TokenPart } from '../hidden-states.ts'
import {
  DEFAULT_UNIT_BYTES,
  type ForwardOptions,
  type LayerControl,
  type LayerPass,
  type StateRows,
} from '../layer-pass.ts'
import { RoutingTable } from '../routing-table.ts'
import { globalSlices } from '../weight-units.ts'
import { hiddenOf, replace, type DeviceBatch } from './device-batch.ts'
import { DeviceGraphs, deviceOutput, type DeviceRun, type RowSink } from './device-graphs.ts'
import { embedOnDevice, embeddingUploads } from './embed-on-device.ts'
import { ExpertRuns } from './expert-runs.ts'
import { inOrder, layerUploads, namedUpload, type ExpertUpload, type LayerUploads } from './layer-uploads.ts'
import { planMemory, type MemoryPlan } from './memory-plan.ts'
import { readGraph } from './transfer-graphs.ts'
import { DirectUploads, type UploadSource, type UploadUnit } from './uploads.ts'
import { uploadWeights } from './upload-weights.ts'

const NOT_OBSERVED: RowSink = () => undefined
const EMPTY = new Float32Array(0)

export class ResidentForwardPass implements LayerPass {
  readonly tokenCount: number
  readonly plan: MemoryPlan
  private states: readonly MicroBatch[]
  private readonly options: ForwardOptions
  private readonly graphs: DeviceGraphs
  private readonly held: readonly DeviceBatch[]
  private readonly layers: UploadSource
  private readonly globals: UploadSource
  private readonly uploads = new Map<number, LayerUploads>()
  private passes = { done: 0, total: 0 }

  private constructor(
    options: ForwardOptions,
    device: ResidentDevice,
    plan: MemoryPlan,
    acceptsHalf: boolean,
  ) {
    const { model, shouldObserve = true, shouldObserveChannels, makeInterceptors = () => [] } = options
    this.options = options
    this.plan = plan
    this.held = cutBatches(options.batches, model.text, plan.runTokens).map((part) => ({
      part,
      hidden: undefined,
      normed: undefined,
    }))
    this.states = this.held.map(({ part }) => ({ ...part, hidden: EMPTY, normed: EMPTY }))
    this.tokenCount = this.held.reduce((sum, { part }) => sum + part.batch * part.time, 0)
    this.graphs = new DeviceGraphs({
      config: model.text,
      device,
      shouldObserve,
      shouldObserveChannels,
      makeInterceptors,
    })
    this.globals = new DirectUploads(options.reader, acceptsHalf)
    this.layers = options.uploads ?? this.globals
  }

  /** undefined when the runtime keeps nothing on its device, or the activations do not fit there. Throws what cutBatches throws. */
  static async create(options: ForwardOptions): Promise<ResidentForwardPass | undefined> {
    const { resident } = options.runtime
    if (resident === undefined) return undefined
    const { maxUnitBytes = DEFAULT_UNIT_BYTES, gpuBudgetBytes, runScale, batches, model } = options
    const tokenCount = batches.reduce((sum, { batch, time }) => sum + batch * time, 0)
    const longest = batches.reduce((most, { time }) => Math.max(most, time), 0)
    const plan = planMemory(model.text, { tokenCount, longest }, maxUnitBytes, gpuBudgetBytes, runScale)
    if (plan === undefined) return undefined
    return new ResidentForwardPass(options, resident, plan, await resident.acceptsHalf())
  }

  get batches(): readonly MicroBatch[] {
    return this.states
  }

  get costs(): LayerPass['costs'] {
    return this.graphs.costs
  }

  async embed(): Promise<void> {
    const { embedding } = globalSlices(this.options.model)
    const uploads = embeddingUploads(embedding, this.held)
    this.layers.announce(uploads.units)
    // Prepared while the device embeds.
    this.announce(0)
    await embedOnDevice(this.graphs, uploads, this.held, (unit) => this.upload(this.layers, unit))
  }

  async runLayer(layerIndex: number, sink: AmaxSink, control: LayerControl = {}): Promise<RoutingTable> {
    const { text } = this.options.model
    const uploads = this.announce(layerIndex)
    const observe = finiteSink(layerIndex, sink)
    this.passes = { done: 0, total: 3 * this.tokenCount }
    await this.runMixer(layerIndex, uploads.mixer, observe, control)
    const routing = new RoutingTable(this.tokenCount, text.expertCount, text.topK)
    const rowMaxima = await this.runMoeFront(layerIndex, uploads.moeFront, routing, observe, control)
    const runs = new ExpertRuns({
      graphs: this.graphs,
      config: text,
      plan: this.plan,
      batches: this.held,
      routing,
      sink: observe,
      // Interceptors may change what an expert reads; then it has to be looked at there.
      rowMaxima: this.options.makeInterceptors === undefined ? rowMaxima : undefined,
    })
    try {
      for (const unit of uploads.experts) await this.runExperts(runs, unit, control)
      await runs.finish()
      await this.graphs.settle()
    } finally {
      runs.dispose()
    }
    this.uploads.delete(layerIndex)
    return routing
  }

  async runFinalNorm(sink: AmaxSink, control: LayerControl = {}): Promise<void> {
    const { model, shouldObserve = true } = this.options
    const { norm } = globalSlices(model)
    const unit = { layerIndex: undefined, label: 'final norm', slices: [norm] }
    const weights = await this.uploadNamed(this.globals, namedUpload({ unit, names: ['norm.weight'] }))
    const observe = finiteSink(model.text.layerCount - 1, sink)
    const normed: Float32Array<ArrayBuffer>[] = []
    try {
      for (const batch of this.held) {
        throwIfCancelled(control)
        const results = await this.graphs.run(
          {
            key: 'final_norm',
            build: (config, interceptors) => finalNormGraph(config, interceptors, 'sequences'),
            deviceOutputs: shouldObserve ? ['normed'] : [],
            feeds: { x: hiddenOf(batch), ...weights },
            observer: {},
          },
          observe,
        )
        if (shouldObserve) deviceOutput(results, 'normed').dispose()
        else normed.push(f32Output(results.host, 'normed'))
      }
    } finally {
      disposeAll(weights)
    }
    this.states = this.states.map((state, index) => ({ ...state, normed: normed[index] ?? EMPTY }))
  }

  async readStates(): Promise<void> {
    const read: Float32Array<ArrayBuffer>[] = []
    await this.exportStates((_, hidden) => read.push(hidden))
    this.states = this.states.map((state, index) => ({ ...state, hidden: read[index] ?? EMPTY }))
  }

  async exportStates(take: StateRows, rowLimit = Infinity): Promise<void> {
    for (const batch of this.held) {
      if (batch.part.firstRow >= rowLimit) return
      const run = { key: 'read', build: readGraph, deviceOutputs: [], feeds: { x: hiddenOf(batch) } }
      const { host } = await this.graphs.run(run, NOT_OBSERVED)
      take(batch.part.firstRow, f32Output(host, 'y'))
    }
  }

  async importStates(fill: StateRows): Promise<void> {
    const { hiddenSize } = this.options.model.text
    for (const batch of this.held) {
      const { firstRow, batch: count, time } = batch.part
      const rows = new Float32Array(count * time * hiddenSize)
      fill(firstRow, rows)
      const feeds = { x: f32Tensor([count, time, hiddenSize], rows) }
      const run = { key: 'write', build: readGraph, deviceOutputs: ['y'], feeds }
      replace(batch, 'hidden', deviceOutput(await this.graphs.run(run, NOT_OBSERVED), 'y'))
    }
  }

  async release(): Promise<void> {
    this.layers.forget()
    for (const batch of this.held) {
      replace(batch, 'hidden', undefined)
      replace(batch, 'normed', undefined)
    }
    await this.graphs.release()
  }

  /** Units of this layer; those of this and the next one begin to be prepared. */
  private announce(layerIndex: number): LayerUploads {
    const { model, maxUnitBytes = DEFAULT_UNIT_BYTES } = this.options
    for (const layer of [layerIndex, layerIndex + 1]) {
      if (layer >= model.text.layerCount || this.uploads.has(layer)) continue
      const uploads = layerUploads(model, layer, maxUnitBytes)
      this.uploads.set(layer, uploads)
      this.layers.announce(inOrder(uploads))
    }
    const current = this.uploads.get(layerIndex)
    invariant(current !== undefined, `there is no layer ${String(layerIndex)}`)
    return current
  }

  private async runMixer(
    layerIndex: number,
    unit: UploadUnit,
    sink: RowSink,
    control: LayerControl,
  ): Promise<void> {
    const isLinear = this.options.model.text.layerKinds[layerIndex] === 'linear_attention'
    const weights = await this.uploadNamed(this.layers, unit)
    try {
      for (const batch of this.held) {
        throwIfCancelled(control)
        const feeds = { x: hiddenOf(batch), ...weights }
        const run = isLinear
          ? { key: 'linear_attention', build: linearAttentionGraph, feeds }
          : this.fullAttention(batch.part, feeds)
        const results = await this.graphs.run(
          { ...run, deviceOutputs: ['y'], observer: {}, isDeferred: true },
          sink,
        )
        replace(batch, 'hidden', deviceOutput(results, 'y'))
        this.advance(batch.part.batch * batch.part.time, control)
      }
    } finally {
      disposeAll(weights)
    }
  }

  private fullAttention(
    { batch, time }: TokenPart,
    feeds: Readonly<Record<string, GraphFeed>>,
  ): Pick<DeviceRun, 'key' | 'build' | 'feeds'> {
    const { text } = this.options.model
    const blocks = queryBlocks(batch * text.headCount, time)
    return {
      key: blocks.length > 1 ? `full_attention of ${String(batch)} x ${String(time)}` : 'full_attention',
      build: (config, interceptors) => fullAttentionGraph(config, interceptors, blocks),
      feeds: { ...feeds, ...rotaryFeeds(time, text.rotaryDim, text.ropeTheta) },
    }
  }

  /** Returns the largest magnitude of every expert input, f32 [tokens]. */
  private async runMoeFront(
    layerIndex: number,
    unit: UploadUnit,
    routing: RoutingTable,
    sink: RowSink,
    control: LayerControl,
  ): Promise<Float32Array | undefined> {
    const weights = await this.uploadNamed(this.layers, unit)
    let rowMaxima: Float32Array | undefined
    try {
      for (const batch of this.held) {
        throwIfCancelled(control)
        const results = await this.graphs.run(
          {
            key: 'moe_front',
            build: (config, interceptors) => moeFrontGraph(config, interceptors, 'sequences'),
            deviceOutputs: ['normed', 'y'],
            feeds: { x: hiddenOf(batch), ...weights },
            observer: {},
          },
          (site, slot, rows, channels) => {
            if (site === ROUTER_SITE && channels === undefined) {
              rowMaxima ??= new Float32Array(this.tokenCount)
              rowMaxima.set(rows, batch.part.firstRow)
            }
            sink(site, slot, rows, channels)
          },
        )
        replace(batch, 'hidden', deviceOutput(results, 'y'))
        replace(batch, 'normed', deviceOutput(results, 'normed'))
        const probability = f32Output(results.host, 'probability')
        if (firstNotFinite(probability) >= 0) throw activationNotFinite(layerIndex, 'its router')
        routing.add(batch.part.firstRow, probability)
        this.advance(batch.part.batch * batch.part.time, control)
      }
    } finally {
      disposeAll(weights)
    }
    return rowMaxima
  }

  private async runExperts(runs: ExpertRuns, unit: ExpertUpload, control: LayerControl): Promise<void> {
    if (!runs.isUsed(unit)) {
      await this.layers.take(unit) // an export may wait for the bytes
      this.layers.release(unit)
      return
    }
    const weights = await this.upload(this.layers, unit)
    try {
      await runs.run(unit, weights, (tokens) => {
        throwIfCancelled(control)
        this.advance(tokens, control)
      })
      if (control.watch !== undefined) await runs.show(unit, weights, control.watch)
    } finally {
      for (const weight of weights) weight.dispose()
    }
  }

  private async upload(source: UploadSource, unit: UploadUnit): Promise<readonly DeviceTensor[]> {
    const uploads = await source.take(unit)
    try {
      return await uploadWeights(this.graphs, uploads)
    } finally {
      source.release(unit)
    }
  }

  private async uploadNamed(source: UploadSource, unit: UploadUnit): Promise<Record<string, DeviceTensor>> {
    const tensors = await this.upload(source, unit)
    return Object.fromEntries(unit.items.map(({ name }, index) => [name, must(tensors[index])]))
  }

  private advance(tokens: number, control: LayerControl): void {
    this.passes.done += tokens
    control.onProgress?.(Math.round(this.passes.done), this.passes.total)
  }
}

/** Largest magnitudes instead of rows of them; an infinity or NaN ends the layer. */
function finiteSink(layerIndex: number, sink: AmaxSink): RowSink {
  return (site, slot, rows, channels) => {
    const amax = propagatingMaximum(rows)
    if (!Number.isFinite(amax)) {
      const isOfExperts = site === GATE_UP_SITE || site === DOWN_SITE
      throw activationNotFinite(layerIndex, isOfExperts ? `expert ${String(slot)}` : `the input of ${site}`)
    }
    sink(site, slot, amax, channels, channels === undefined ? rows : undefined)
  }
}

function must(tensor: DeviceTensor | undefined): DeviceTensor {
  invariant(tensor !== undefined, 'a tensor is missing on the device')
  return tensor
}

function disposeAll(tensors: Readonly<Record<string, DeviceTensor>>): void {
  for (const tensor of Object.values(tensors)) tensor.dispose()
}

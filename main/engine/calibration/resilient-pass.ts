/**
 * A forward pass that goes on when a GPU runs out of memory or is lost: with runs half as large, then a quarter, then on the CPU. What was on
 * the device is gone then, so the pass starts again from the embeddings and repeats the finished layers without reporting them.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { AmaxSink } from './graph-cache.ts'
import type { MicroBatch } from './hidden-states.ts'
import type { DeviceFallback, ForwardOptions, LayerControl, LayerPass, StateRows } from './layer-pass.ts'
import type { RoutingTable } from './routing-table.ts'

type CreatePass = (options: ForwardOptions) => Promise<LayerPass>

/** Below a quarter the memory is taken by weights, not by runs. */
const SMALLEST_SCALE = 1 / 4
const IGNORE: AmaxSink = () => undefined

export class ResilientPass implements LayerPass {
  private options: ForwardOptions
  private readonly fallback: DeviceFallback
  private readonly createPass: CreatePass
  private pass: LayerPass
  private layersDone = 0

  private constructor(
    options: ForwardOptions,
    fallback: DeviceFallback,
    createPass: CreatePass,
    pass: LayerPass,
  ) {
    this.options = options
    this.fallback = fallback
    this.createPass = createPass
    this.pass = pass
  }

  static async create(
    options: ForwardOptions,
    fallback: DeviceFallback,
    createPass: CreatePass,
  ): Promise<ResilientPass> {
    return new ResilientPass(options, fallback, createPass, await createPass(options))
  }

  get batches(): readonly MicroBatch[] {
    return this.pass.batches
  }

  get tokenCount(): number {
    return this.pass.tokenCount
  }

  get costs(): LayerPass['costs'] {
    return this.pass.costs
  }

  embed(): Promise<void> {
    return this.persist(undefined, {}, () => this.pass.embed())
  }

  async runLayer(layerIndex: number, sink: AmaxSink, control: LayerControl = {}): Promise<RoutingTable> {
    const routing = await this.reported(layerIndex, sink, control, (collect) =>
      this.pass.runLayer(layerIndex, collect, control),
    )
    this.layersDone = layerIndex + 1
    return routing
  }

  runFinalNorm(sink: AmaxSink, control: LayerControl = {}): Promise<void> {
    const { layerCount } = this.options.model.text
    return this.reported(layerCount, sink, control, (collect) => this.pass.runFinalNorm(collect, control))
  }

  exportStates(take: StateRows, rowLimit?: number): Promise<void> {
    return this.persist(this.layersDone, {}, () => this.pass.exportStates(take, rowLimit))
  }

  importStates(fill: StateRows): Promise<void> {
    return this.persist(undefined, {}, () => this.pass.importStates(fill))
  }

  readStates(): Promise<void> {
    return this.pass.readStates()
  }

  release(): Promise<void> {
    return this.pass.release()
  }

  /** Reports maxima only of the attempt that succeeded. */
  private async reported<T>(
    layersBefore: number,
    sink: AmaxSink,
    control: LayerControl,
    work: (collect: AmaxSink) => Promise<T>,
  ): Promise<T> {
    let seen: Parameters<AmaxSink>[] = []
    const result = await this.persist(layersBefore, control, () => {
      seen = []
      control.watch?.restart()
      return work((...report) => seen.push(report))
    })
    for (const report of seen) sink(...report)
    return result
  }

  /** `layersBefore` undefined: `work` itself starts the pass. */
  private async persist<T>(
    layersBefore: number | undefined,
    { isCancelled }: LayerControl,
    work: () => Promise<T>,
  ): Promise<T> {
    for (let isBehind = false; ; isBehind = true) {
      try {
        if (isBehind && layersBefore !== undefined) await this.catchUp(layersBefore, { isCancelled })
        return await work()
      } catch (error: unknown) {
        await this.stepDown(AppError.from(error))
      }
    }
  }

  private async catchUp(layersBefore: number, control: LayerControl): Promise<void> {
    await this.pass.embed()
    for (let layer = 0; layer < layersBefore; layer += 1) await this.pass.runLayer(layer, IGNORE, control)
  }

  /** Replaces the pass by one that asks for less. Throws the error when nothing is left to try. */
  private async stepDown(error: AppError): Promise<void> {
    const { runtime, runScale = 1 } = this.options
    const isMemory = error.code === 'DEVICE_OUT_OF_MEMORY'
    if (runtime.device === 'cpu' || !(isMemory || error.code === 'DEVICE_LOST')) throw error
    // A lost device cannot free anything either.
    await this.pass.release().catch(() => undefined)
    const happened = `${runtime.device} ${isMemory ? 'ran out of memory' : 'was lost'} (${error.problem})`
    if (isMemory && runScale > SMALLEST_SCALE) {
      this.fallback.onNotice(`${happened}; going on with smaller runs`)
      this.options = { ...this.options, runScale: runScale / 2 }
    } else {
      this.fallback.onNotice(`${happened}; going on with the CPU`)
      this.options = { ...this.options, ...(await this.fallback.toCpu()), uploads: undefined }
    }
    this.pass = await this.createPass(this.options)
  }
}

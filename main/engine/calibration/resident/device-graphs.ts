/** Loaded graphs of a forward pass that keeps its activations on the device, with what each kind of run cost. */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import type { GraphBuilder, GraphInterceptor } from '../../onnx/graph-builder.ts'
import type {
  DeviceTensor,
  GraphFeed,
  ResidentDevice,
  ResidentResults,
  ResidentSession,
} from '../../onnx/graph-runtime.ts'
import { elementCount } from '../../../../shared/domain/dtype.ts'
import { invariant } from '../../../../shared/errors/app-error.ts'
import { AmaxObserver, type ObserverOptions } from '../forward/amax-observer.ts'
import { ChannelObserver, type ChannelReport } from '../forward/channel-observer.ts'
import { collectGraph } from './transfer-graphs.ts'

/** Receives the largest magnitude of every row at a site. Channels, where they were asked for, come in calls of their own without rows. */
export type RowSink = (site: string, slot: number, rowMaxima: Float32Array, channels?: ChannelReport) => void

export interface DeviceRun {
  /** Graphs are told apart by it. */
  readonly key: string
  readonly build: (config: QwenTextConfig, interceptors: readonly GraphInterceptor[]) => GraphBuilder
  readonly deviceOutputs: readonly string[]
  readonly feeds: Readonly<Record<string, GraphFeed>>
  /** undefined: the graph is not observed. */
  readonly observer?: ObserverOptions
  /** Values that linears read are f32 [tiles, rows, channels]. */
  readonly isTiled?: boolean
  /** What is observed stays on the device until `settle`, so that nobody waits for the run. */
  readonly isDeferred?: boolean
}

/** What runs of one kind cost since the pass began. */
export interface RunCost {
  runs: number
  milliseconds: number
  /** From and to the device. */
  bytesUp: number
  bytesDown: number
}

export interface DeviceGraphOptions {
  readonly config: QwenTextConfig
  readonly device: ResidentDevice
  readonly shouldObserve: boolean
  readonly shouldObserveChannels?: boolean | undefined
  readonly makeInterceptors: () => readonly GraphInterceptor[]
}

interface Loaded {
  readonly session: ResidentSession
  readonly observer: AmaxObserver | undefined
  readonly channelObserver: ChannelObserver | undefined
}

interface Deferred {
  readonly tensor: DeviceTensor
  readonly take: (maxima: Float32Array) => void
}

const NO_ROWS = new Float32Array(0)
/** Tensors that come back together; a power of two, so that few graphs are needed. */
const MAX_DEFERRED = 32

export class DeviceGraphs {
  readonly costs = new Map<string, RunCost>()
  private readonly options: DeviceGraphOptions
  private readonly loaded = new Map<string, Promise<Loaded>>()
  private readonly deferred: Deferred[] = []

  constructor(options: DeviceGraphOptions) {
    this.options = options
  }

  async run(run: DeviceRun, sink: RowSink): Promise<ResidentResults> {
    const startedMs = performance.now()
    const { session, observer, channelObserver } = await this.get(run)
    const results = await session.run(run.feeds)
    this.count(run, results, performance.now() - startedMs)
    for (const { output, sites, slot } of observer?.observations ?? []) {
      const take = (maxima: Float32Array): void => {
        for (const site of sites) sink(site, slot, maxima)
      }
      if (run.isDeferred === true) {
        this.deferred.push({ tensor: deviceOutput(results, output), take })
        continue
      }
      const tensor = results.host.get(output)
      invariant(tensor?.dtype === 'float32', `graph ${run.key} returned no ${output}`)
      take(tensor.data)
    }
    channelObserver?.report(results.host, (site, slot, channels) => {
      sink(site, slot, NO_ROWS, channels)
    })
    return results
  }

  /** Brings back what deferred runs observed. */
  async settle(): Promise<void> {
    while (this.deferred.length > 0) {
      const count = Math.min(MAX_DEFERRED, 2 ** Math.floor(Math.log2(this.deferred.length)))
      const group = this.deferred.splice(0, count)
      const feeds = Object.fromEntries(
        group.map(({ tensor }, index) => [`part.${String(index)}`, tensor] as const),
      )
      const { host } = await this.run(
        { key: `collect ${String(count)}`, build: () => collectGraph(count), deviceOutputs: [], feeds },
        () => undefined,
      )
      const all = host.get('y')
      invariant(all?.dtype === 'float32', 'nothing was collected')
      let first = 0
      for (const { tensor, take } of group) {
        const size = elementCount(tensor.shape)
        take(all.data.subarray(first, first + size))
        first += size
        tensor.dispose()
      }
    }
  }

  /** Frees every graph and what is left of their results on the device. */
  async release(): Promise<void> {
    this.deferred.length = 0
    for (const loading of this.loaded.values())
      await (await loading.catch(() => undefined))?.session.release()
    this.loaded.clear()
  }

  private get(run: DeviceRun): Promise<Loaded> {
    const present = this.loaded.get(run.key)
    if (present !== undefined) return present
    const { config, device, shouldObserve, shouldObserveChannels, makeInterceptors } = this.options
    const isObserved = run.observer !== undefined
    const observer = shouldObserve && isObserved ? new AmaxObserver(run.observer) : undefined
    const channelObserver =
      shouldObserveChannels === true && isObserved ? new ChannelObserver(config, run.isTiled) : undefined
    const observers = [observer, channelObserver].filter((watching) => watching !== undefined)
    const graph = run.build(config, [...makeInterceptors(), ...observers])
    channelObserver?.finish(graph)
    const observed = run.isDeferred === true ? (observer?.observations ?? []).map(({ output }) => output) : []
    const loading = device
      .load(graph.build(), run.key, [...run.deviceOutputs, ...observed])
      .then((session) => ({ session, observer, channelObserver }))
    this.loaded.set(run.key, loading)
    return loading
  }

  private count({ key, feeds }: DeviceRun, results: ResidentResults, milliseconds: number): void {
    const kind = key.split(' ')[0] ?? key
    const cost = this.costs.get(kind) ?? { runs: 0, milliseconds: 0, bytesUp: 0, bytesDown: 0 }
    cost.runs += 1
    cost.milliseconds += milliseconds
    for (const feed of Object.values(feeds)) if (!('location' in feed)) cost.bytesUp += feed.data.byteLength
    for (const { data } of results.host.values()) cost.bytesDown += data.byteLength
    this.costs.set(kind, cost)
  }
}

/** A result that stayed on the device. Throws INVARIANT when the graph has none of that name. */
export function deviceOutput({ device }: ResidentResults, name: string): DeviceTensor {
  const tensor = device.get(name)
  invariant(tensor !== undefined, `the graph left no ${name} on the device`)
  return tensor
}

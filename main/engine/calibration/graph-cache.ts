/** Loaded graphs of one forward pass, by kind. Weights are inputs, so that one graph serves every layer of its kind. */
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'
import type { GraphBuilder, GraphInterceptor } from '../onnx/graph-builder.ts'
import type { GraphRuntime, GraphSession, GraphTensor } from '../onnx/graph-runtime.ts'
import { AmaxObserver, observedAmax } from './forward/amax-observer.ts'
import { ChannelObserver, type ChannelReport } from './forward/channel-observer.ts'

/**
 * Receives what an observer saw: the largest magnitude at a site, for a slot of the graph. Channels, where they were asked for, come in
 * calls of their own with amax 0.
 */
export type AmaxSink = (site: string, slot: number, amax: number, channels?: ChannelReport) => void

export interface GraphCacheOptions {
  readonly config: QwenTextConfig
  readonly runtime: GraphRuntime
  /** Whether graphs also return the amax of every linear's input. */
  readonly shouldObserve: boolean
  /** Whether they return the channels of every linear's input as well. Default: false. */
  readonly shouldObserveChannels?: boolean | undefined
  /** Called for every graph; the result is attached before the observer. */
  readonly makeInterceptors: () => readonly GraphInterceptor[]
}

interface Loaded {
  readonly session: GraphSession
  readonly observer: AmaxObserver | undefined
  readonly channelObserver: ChannelObserver | undefined
}

export class GraphCache {
  private readonly options: GraphCacheOptions
  private readonly loaded = new Map<string, Promise<Loaded>>()

  constructor(options: GraphCacheOptions) {
    this.options = options
  }

  /** Runs the graph `key`, building it on first use, and reports what its observer saw. */
  async run(
    key: string,
    build: (config: QwenTextConfig, interceptors: readonly GraphInterceptor[]) => GraphBuilder,
    feeds: Readonly<Record<string, GraphTensor>>,
    sink: AmaxSink,
  ): Promise<ReadonlyMap<string, GraphTensor>> {
    const { session, observer, channelObserver } = await this.get(key, build)
    const results = await session.run(feeds)
    for (const { output, sites, slot } of observer?.observations ?? []) {
      const amax = observedAmax(results, output)
      for (const site of sites) sink(site, slot, amax)
    }
    channelObserver?.report(results, (site, slot, channels) => {
      sink(site, slot, 0, channels)
    })
    return results
  }

  /** Frees a graph that depends on a length that will not come again. */
  async drop(key: string): Promise<void> {
    const loading = this.loaded.get(key)
    this.loaded.delete(key)
    await (await loading)?.session.release()
  }

  async release(): Promise<void> {
    for (const key of [...this.loaded.keys()]) await this.drop(key)
  }

  private get(
    key: string,
    build: (config: QwenTextConfig, interceptors: readonly GraphInterceptor[]) => GraphBuilder,
  ): Promise<Loaded> {
    const present = this.loaded.get(key)
    if (present !== undefined) return present
    const { config, runtime, shouldObserve, shouldObserveChannels, makeInterceptors } = this.options
    const observer = shouldObserve ? new AmaxObserver() : undefined
    const channelObserver = shouldObserveChannels === true ? new ChannelObserver(config) : undefined
    const observers = [observer, channelObserver].filter((watching) => watching !== undefined)
    const graph = build(config, [...makeInterceptors(), ...observers])
    channelObserver?.finish(graph)
    const loading = runtime
      .load(graph.build(), key)
      .then((session) => ({ session, observer, channelObserver }))
    this.loaded.set(key, loading)
    return loading
  }
}

/** A float32 output of a run. Throws INVARIANT when the graph has none of that name. */
export function f32Output(
  results: ReadonlyMap<string, GraphTensor>,
  name: string,
): Float32Array<ArrayBuffer> {
  const tensor = results.get(name)
  if (tensor?.dtype !== 'float32') throw new Error(`the graph returned no float32 output ${name}`)
  return tensor.data
}

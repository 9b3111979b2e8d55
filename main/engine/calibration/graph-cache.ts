/** Loaded graphs of one forward pass, by kind. Weights are inputs, so that one graph serves every layer of its kind. */
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'
import type { GraphBuilder, GraphInterceptor } from '../onnx/graph-builder.ts'
import type { GraphRuntime, GraphSession, GraphTensor } from '../onnx/graph-runtime.ts'
import type { AddedInput, FakeQuantizer } from './fake-quant/fake-quantizer.ts'
import { AmaxObserver, observedAmax } from './forward/amax-observer.ts'
import { ChannelObserver, type ChannelReport } from './forward/channel-observer.ts'

/**
 * Receives what an observer saw: the largest magnitude at a site, for a slot of the graph, and that of every row it was found among.
 * Channels, where they were asked for, come in calls of their own with amax 0.
 */
export type AmaxSink = (
  site: string,
  slot: number,
  amax: number,
  channels?: ChannelReport,
  rowMaxima?: Float32Array,
) => void

/** Graphs of a layer whose inputs are rounded as in deployment. */
export interface GraphVariant {
  /** Equal for layers that share graphs. */
  readonly key: string
  /** A new one for every graph. */
  makeQuantizer(): FakeQuantizer
  /** Value of an input that the quantizer added; `expert` is the one in its slot, where slots hold experts. */
  feed(input: AddedInput, expert: number | undefined): GraphTensor
}

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
  readonly quantizer: FakeQuantizer | undefined
}

export class GraphCache {
  private readonly options: GraphCacheOptions
  private readonly loaded = new Map<string, Promise<Loaded>>()

  constructor(options: GraphCacheOptions) {
    this.options = options
  }

  /**
   * Runs the graph `key`, building it on first use, and reports what its observer saw. `experts` = which one is in each slot, for graphs
   * of experts.
   */
  async run(
    key: string,
    build: (config: QwenTextConfig, interceptors: readonly GraphInterceptor[]) => GraphBuilder,
    feeds: Readonly<Record<string, GraphTensor>>,
    sink: AmaxSink,
    variant?: GraphVariant,
    experts: readonly number[] = [],
  ): Promise<ReadonlyMap<string, GraphTensor>> {
    const { session, observer, channelObserver, quantizer } = await this.get(key, build, variant)
    const added = (quantizer?.addedInputs ?? []).flatMap((input) =>
      variant === undefined ? [] : [[input.name, variant.feed(input, experts[input.slot])] as const],
    )
    const results = await session.run({ ...feeds, ...Object.fromEntries(added) })
    for (const { output, sites, slot } of observer?.observations ?? []) {
      const amax = observedAmax(results, output)
      const rowMaxima = f32Output(results, output)
      for (const site of sites) sink(site, slot, amax, undefined, rowMaxima)
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
    kind: string,
    build: (config: QwenTextConfig, interceptors: readonly GraphInterceptor[]) => GraphBuilder,
    variant: GraphVariant | undefined,
  ): Promise<Loaded> {
    const key = variant === undefined ? kind : `${kind}, ${variant.key}`
    const present = this.loaded.get(key)
    if (present !== undefined) return present
    const { config, runtime, shouldObserve, shouldObserveChannels, makeInterceptors } = this.options
    const observer = shouldObserve ? new AmaxObserver() : undefined
    const channelObserver = shouldObserveChannels === true ? new ChannelObserver(config) : undefined
    const quantizer = variant?.makeQuantizer()
    const attached = [quantizer, observer, channelObserver].filter((interceptor) => interceptor !== undefined)
    const graph = build(config, [...makeInterceptors(), ...attached])
    channelObserver?.finish(graph)
    const loading = runtime
      .load(graph.build(), key)
      .then((session) => ({ session, observer, channelObserver, quantizer }))
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

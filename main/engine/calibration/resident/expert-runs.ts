/** The routed experts of one layer on the device: unit after unit over all tokens, then adding up. One instance per layer. */
import { invariant } from '../../../../shared/errors/app-error.ts'
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import type { DeviceTensor, GraphFeed } from '../../onnx/graph-runtime.ts'
import { GATE_UP_SITE, tiledExpertsGraph } from '../forward/experts.ts'
import { f32Output } from '../graph-cache.ts'
import type { RoutedRows, TokenPart } from '../hidden-states.ts'
import { watchedRows, type ExpertWatch } from '../layer-pass.ts'
import type { RoutingTable } from '../routing-table.ts'
import type { DeviceBatch } from './device-batch.ts'
import { deviceOutput, type DeviceGraphs, type RowSink } from './device-graphs.ts'
import { ExpertTerms, rowsWithin } from './expert-terms.ts'
import { planTiles, type TileRun } from './expert-tiles.ts'
import type { ExpertUpload } from './layer-uploads.ts'
import type { MemoryPlan } from './memory-plan.ts'
import { combineGraph } from './transfer-graphs.ts'

/** Few numbers of parts, because each is a graph of its own. */
const MAX_PARTS = 6
const ONLY_GATE_UP: ReadonlySet<string> = new Set([GATE_UP_SITE])

export interface ExpertRunOptions {
  readonly graphs: DeviceGraphs
  readonly config: QwenTextConfig
  readonly plan: MemoryPlan
  readonly batches: readonly DeviceBatch[]
  readonly routing: RoutingTable
  readonly sink: RowSink
  /** Largest magnitude of every expert input, f32 [tokens]; undefined: the graphs look themselves. */
  readonly rowMaxima: Float32Array | undefined
}

export class ExpertRuns {
  private readonly options: ExpertRunOptions
  private readonly terms = new Map<DeviceBatch, ExpertTerms>()

  constructor(options: ExpertRunOptions) {
    this.options = options
  }

  /** Whether any expert of a unit has tokens. */
  isUsed({ firstExpert, expertCount }: ExpertUpload): boolean {
    for (let index = 0; index < expertCount; index += 1) {
      if (lengthOf(this.options.routing.rowsOf(firstExpert + index)) > 0) return true
    }
    return false
  }

  /** Runs the experts of a unit on all of their tokens; `weights` are the two tensors of the unit. `onTokens` follows every run. */
  async run(
    unit: ExpertUpload,
    weights: readonly DeviceTensor[],
    onTokens: (tokens: number) => void,
  ): Promise<void> {
    const { batches, config, plan } = this.options
    const { firstExpert, expertCount } = unit
    for (let index = 0; index < expertCount; index += 1) this.reportInputs(firstExpert + index)
    for (const batch of batches) {
      for (const tileRun of planTiles(this.rowsOf(unit, batch), plan.expertRows)) {
        await this.makeRoom(batch, tileRun.width * tileRun.tiles.length)
        await this.runTiles(batch, unit, weights, tileRun)
        onTokens(tileRun.tiles.reduce((sum, tile) => sum + lengthOf(tile), 0) / config.topK)
      }
    }
  }

  /** Runs the experts of a unit once more, on the tokens that are looked at, and brings inputs and outputs back. */
  async show(unit: ExpertUpload, weights: readonly DeviceTensor[], watch: ExpertWatch): Promise<void> {
    const { batches, config, plan } = this.options
    const { hiddenSize } = config
    for (const batch of batches) {
      const rows = this.rowsOf(unit, batch).map((routed, index) => ({
        ...routed,
        to: routed.from + watchedRows(watch, unit.firstExpert + index, routed),
      }))
      for (const tileRun of planTiles(rows, plan.expertRows)) {
        const { host } = await this.options.graphs.run(
          {
            key: tileRun.picksExperts ? 'watched picked' : 'watched in place',
            build: (text, interceptors) => tiledExpertsGraph(text, interceptors, tileRun.picksExperts, true),
            deviceOutputs: [],
            feeds: tileFeeds(batch, weights, tileRun),
          },
          () => undefined,
        )
        const [x, y] = [f32Output(host, 'x'), f32Output(host, 'y')]
        for (const [index, tile] of tileRun.tiles.entries()) {
          const first = index * tileRun.width * hiddenSize
          const end = first + lengthOf(tile) * hiddenSize
          if (end > first)
            watch.watch(unit.firstExpert + tile.expert, x.subarray(first, end), y.subarray(first, end))
        }
      }
    }
  }

  /** Adds up what is left. */
  async finish(): Promise<void> {
    for (const batch of [...this.terms.keys()]) await this.combine(batch)
  }

  /** Frees outputs that were not added up. */
  dispose(): void {
    for (const terms of this.terms.values()) terms.dispose()
    this.terms.clear()
    for (const batch of this.options.batches) {
      batch.normed?.dispose()
      batch.normed = undefined
    }
  }

  private rowsOf({ firstExpert, expertCount }: ExpertUpload, { part }: DeviceBatch): readonly RoutedRows[] {
    const endRow = part.firstRow + part.batch * part.time
    return Array.from({ length: expertCount }, (_, index) =>
      rowsWithin(this.options.routing.rowsOf(firstExpert + index), part.firstRow, endRow),
    )
  }

  private async runTiles(
    batch: DeviceBatch,
    { firstExpert }: ExpertUpload,
    weights: readonly DeviceTensor[],
    tileRun: TileRun,
  ): Promise<void> {
    const { graphs, sink, rowMaxima } = this.options
    const { tiles, width, picksExperts } = tileRun
    const feeds = tileFeeds(batch, weights, tileRun)
    const results = await graphs.run(
      {
        key: picksExperts ? 'experts picked' : 'experts in place',
        build: (config, interceptors) => tiledExpertsGraph(config, interceptors, picksExperts),
        deviceOutputs: ['y'],
        feeds,
        observer: rowMaxima === undefined ? {} : { ignoredSites: ONLY_GATE_UP },
        isTiled: true,
        isDeferred: true,
      },
      (site, slot, maxima, channels) => {
        if (channels !== undefined) {
          sink(site, firstExpert + (tiles[slot]?.expert ?? 0), maxima, channels)
          return
        }
        for (const [index, tile] of tiles.entries()) {
          const first = index * width
          if (lengthOf(tile) > 0)
            sink(site, firstExpert + tile.expert, maxima.subarray(first, first + lengthOf(tile)))
        }
      },
    )
    this.termsOf(batch).add(deviceOutput(results, 'y'), tileRun)
  }

  /** Adds up earlier outputs when those of `rows` more rows would be too many, for the batch or for the device. */
  private async makeRoom(batch: DeviceBatch, rows: number): Promise<void> {
    const { plan, config } = this.options
    const terms = this.terms.get(batch)
    if (terms !== undefined) {
      const isFull = terms.parts.length >= MAX_PARTS || terms.rowCount + rows > plan.combineRows
      if (isFull) await this.combine(batch)
    }
    let all = rows
    for (const { rowCount } of this.terms.values()) all += rowCount
    if (all * 4 * config.hiddenSize > plan.outputBytes) await this.finish()
  }

  /** hidden += the outputs so far, each times its routing weight. */
  private async combine(batch: DeviceBatch): Promise<void> {
    const { graphs, config, plan } = this.options
    const terms = this.terms.get(batch)
    if (terms === undefined) return
    invariant(batch.hidden !== undefined, 'the hidden states are gone')
    const shape = terms.shape(plan.combineRows)
    const results = await graphs.run(
      {
        key: `combine ${JSON.stringify(shape)}`,
        build: () => combineGraph(config.hiddenSize, shape),
        deviceOutputs: ['y'],
        feeds: { x: batch.hidden, ...terms.feeds(shape) },
      },
      () => undefined,
    )
    batch.hidden.dispose()
    batch.hidden = deviceOutput(results, 'y')
    terms.dispose()
    this.terms.delete(batch)
  }

  /** What every expert reads is what the router read. */
  private reportInputs(expert: number): void {
    const { rowMaxima, routing, sink } = this.options
    if (rowMaxima === undefined) return
    const { rows, from, to } = routing.rowsOf(expert)
    if (to === from) return
    const maxima = new Float32Array(to - from)
    for (let entry = from; entry < to; entry += 1) maxima[entry - from] = rowMaxima[rows[entry] ?? 0] ?? 0
    sink(GATE_UP_SITE, expert, maxima)
  }

  private termsOf(batch: DeviceBatch): ExpertTerms {
    const present = this.terms.get(batch)
    if (present !== undefined) return present
    const terms = new ExpertTerms(batch.part.firstRow, batch.part.batch * batch.part.time)
    this.terms.set(batch, terms)
    return terms
  }
}

function tileFeeds(
  { normed, part }: DeviceBatch,
  [gateUp, down]: readonly DeviceTensor[],
  tileRun: TileRun,
): Record<string, GraphFeed> {
  const { tiles, width, picksExperts } = tileRun
  invariant(normed !== undefined, 'the inputs of the experts are gone')
  invariant(gateUp !== undefined && down !== undefined, 'the experts were not uploaded')
  const rows = rowIndices(tileRun, part)
  const feeds: Record<string, GraphFeed> = {
    normed,
    rows: { dtype: 'int32', shape: [tiles.length, width], data: rows },
    gate_up: gateUp,
    down,
  }
  if (picksExperts) {
    const data = Int32Array.from(tiles, ({ expert }) => expert)
    feeds['experts'] = { dtype: 'int32', shape: [data.length], data }
  }
  return feeds
}

/** Rows of `normed` that the tiles read, i32 [tiles · width]; behind the tokens of a tile the row of zeros behind all tokens. */
function rowIndices(
  { tiles, width }: TileRun,
  { firstRow, batch, time }: TokenPart,
): Int32Array<ArrayBuffer> {
  const indices = new Int32Array(tiles.length * width).fill(batch * time)
  for (const [index, { rows, from, to }] of tiles.entries()) {
    const first = index * width - from
    for (let entry = from; entry < to; entry += 1)
      indices[first + entry] = (rows[entry] ?? firstRow) - firstRow
  }
  return indices
}

function lengthOf({ from, to }: RoutedRows): number {
  return to - from
}

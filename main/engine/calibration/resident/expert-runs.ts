/** The routed experts of one layer on the device: unit after unit over all tokens, then adding up. One instance per layer. */
import { invariant } from '../../../../shared/errors/app-error.ts'
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import type { DeviceTensor, GraphFeed } from '../../onnx/graph-runtime.ts'
import { DOWN_SITE, GATE_UP_SITE, gatheredExpertsGraph } from '../forward/experts.ts'
import type { RoutedRows } from '../hidden-states.ts'
import type { RoutingTable } from '../routing-table.ts'
import type { DeviceBatch } from './device-batch.ts'
import { deviceOutput, type DeviceGraphs, type RowSink } from './device-graphs.ts'
import { ExpertTerms, packRuns, rowsWithin } from './expert-terms.ts'
import type { ExpertUpload } from './layer-uploads.ts'
import type { MemoryPlan } from './memory-plan.ts'
import { combineGraph } from './transfer-graphs.ts'

/** Experts side by side in one run: measured to fill a large GPU. */
const EXPERTS_PER_RUN = 32
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

interface Slot extends RoutedRows {
  readonly expert: number
  readonly gateUp: DeviceTensor
  readonly down: DeviceTensor
}

export class ExpertRuns {
  private readonly options: ExpertRunOptions
  private readonly terms = new Map<DeviceBatch, ExpertTerms>()
  private pendingBytes = 0

  constructor(options: ExpertRunOptions) {
    this.options = options
  }

  /** Makes room for the outputs of a unit. */
  async prepare(unit: ExpertUpload): Promise<void> {
    if (this.pendingBytes > 0 && this.pendingBytes + this.outputBytes(unit) > this.options.plan.outputBytes)
      await this.combine()
  }

  /** Items of a unit that are used: those of experts with tokens. */
  wanted({ firstExpert, expertCount }: ExpertUpload): readonly number[] {
    const items: number[] = []
    for (let index = 0; index < expertCount; index += 1) {
      if (this.countOf(firstExpert + index) > 0) items.push(2 * index, 2 * index + 1)
    }
    return items
  }

  /** Runs the used experts of a unit on all of their tokens. `weights` belong to `wanted(unit)`. `onTokens` follows every run. */
  async run(
    unit: ExpertUpload,
    weights: readonly DeviceTensor[],
    onTokens: (tokens: number) => void,
  ): Promise<void> {
    const { batches, config, plan } = this.options
    const isTooMuch = this.outputBytes(unit) > plan.outputBytes
    const used = this.usedExperts(unit, weights)
    for (const { expert } of used) this.reportInputs(expert)
    for (const batch of batches) {
      for (const group of packRuns(this.slotsOf(batch, used), EXPERTS_PER_RUN, plan.expertRows)) {
        await this.runGroup(batch, group)
        onTokens(group.reduce((sum, { from, to }) => sum + to - from, 0) / config.topK)
      }
      if (isTooMuch) await this.combine()
    }
  }

  /** Adds up what is left. */
  finish(): Promise<void> {
    return this.combine()
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

  private usedExperts(
    { firstExpert, expertCount }: ExpertUpload,
    weights: readonly DeviceTensor[],
  ): readonly Pick<Slot, 'expert' | 'gateUp' | 'down'>[] {
    const used: Pick<Slot, 'expert' | 'gateUp' | 'down'>[] = []
    for (let index = 0; index < expertCount; index += 1) {
      const expert = firstExpert + index
      if (this.countOf(expert) === 0) continue
      const gateUp = weights[2 * used.length]
      const down = weights[2 * used.length + 1]
      invariant(gateUp !== undefined && down !== undefined, `expert ${String(expert)} was not uploaded`)
      used.push({ expert, gateUp, down })
    }
    return used
  }

  private slotsOf(
    { part }: DeviceBatch,
    used: readonly Pick<Slot, 'expert' | 'gateUp' | 'down'>[],
  ): readonly Slot[] {
    const { routing, plan } = this.options
    const endRow = part.firstRow + part.batch * part.time
    return used.flatMap((weights) =>
      rowsWithin(routing.rowsOf(weights.expert), part.firstRow, endRow, plan.expertRows).map(
        (rows): Slot => ({ ...weights, ...rows }),
      ),
    )
  }

  private async runGroup(batch: DeviceBatch, group: readonly Slot[]): Promise<void> {
    const { graphs, sink, rowMaxima } = this.options
    const { normed, part } = batch
    invariant(normed !== undefined, 'the inputs of the experts are gone')
    const feeds: Record<string, GraphFeed> = { normed }
    for (const [slot, { gateUp, down, rows, from, to }] of group.entries()) {
      const data = Int32Array.from(rows.subarray(from, to), (row) => row - part.firstRow)
      feeds[`rows.${String(slot)}`] = { dtype: 'int32', shape: [data.length], data }
      feeds[`gate_up.${String(slot)}`] = gateUp
      feeds[`down.${String(slot)}`] = down
    }
    const results = await graphs.run(
      {
        key: `experts x ${String(group.length)}`,
        build: (config, interceptors) => gatheredExpertsGraph(config, interceptors, group.length),
        deviceOutputs: ['y'],
        feeds,
        observer: { isMerged: true, ...(rowMaxima === undefined ? {} : { ignoredSites: ONLY_GATE_UP }) },
        slotRows: group.map(({ from, to }) => to - from),
      },
      (site, slot, rows, channels) => {
        const isPerExpert = site === GATE_UP_SITE || site === DOWN_SITE
        sink(site, isPerExpert ? (group[slot]?.expert ?? 0) : slot, rows, channels)
      },
    )
    this.termsOf(batch).add(deviceOutput(results, 'y'), group)
    this.pendingBytes += group.reduce((sum, { from, to }) => sum + (to - from) * this.rowBytes, 0)
  }

  /** hidden += the outputs so far, each times its routing weight. */
  private async combine(): Promise<void> {
    const { graphs, config } = this.options
    for (const [batch, terms] of this.terms) {
      invariant(batch.hidden !== undefined, 'the hidden states are gone')
      const { parts, termCount } = terms
      const results = await graphs.run(
        {
          key: `combine ${String(parts.length)} x ${String(termCount)}`,
          build: () => combineGraph(config.hiddenSize, parts.length, termCount),
          deviceOutputs: ['y'],
          feeds: { x: batch.hidden, ...terms.feeds() },
        },
        () => undefined,
      )
      batch.hidden.dispose()
      batch.hidden = deviceOutput(results, 'y')
      terms.dispose()
      this.terms.delete(batch)
    }
    this.pendingBytes = 0
  }

  /** What every expert reads is what the router read. */
  private reportInputs(expert: number): void {
    const { rowMaxima, routing, sink } = this.options
    if (rowMaxima === undefined) return
    const { rows, from, to } = routing.rowsOf(expert)
    sink(
      GATE_UP_SITE,
      expert,
      Float32Array.from(rows.subarray(from, to), (row) => rowMaxima[row] ?? 0),
    )
  }

  private termsOf(batch: DeviceBatch): ExpertTerms {
    const present = this.terms.get(batch)
    if (present !== undefined) return present
    const terms = new ExpertTerms(batch.part.firstRow, batch.part.batch * batch.part.time)
    this.terms.set(batch, terms)
    return terms
  }

  private outputBytes({ firstExpert, expertCount }: ExpertUpload): number {
    let rows = 0
    for (let index = 0; index < expertCount; index += 1) rows += this.countOf(firstExpert + index)
    return rows * this.rowBytes
  }

  private countOf(expert: number): number {
    const { from, to } = this.options.routing.rowsOf(expert)
    return to - from
  }

  private get rowBytes(): number {
    return 4 * this.options.config.hiddenSize
  }
}

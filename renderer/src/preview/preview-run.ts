/** A made-up run that behaves like a real one: layers calibrated and written one after the other, ten snapshots a second. */
import {
  STAGE_NAMES,
  type JobId,
  type JobLogLine,
  type JobSnapshot,
  type JobState,
  type RunReport,
  type StageName,
  type StageProgress,
} from '../../../shared/domain/job.ts'
import type { CheckpointSummary } from '../../../shared/domain/checkpoint-summary.ts'

export type PreviewOutcome = 'clean' | 'findings' | 'failed'

export interface PreviewRunOptions {
  readonly checkpoint: CheckpointSummary
  readonly recipe: string
  readonly outputName: string
  readonly outcome: PreviewOutcome
  readonly tickMs: number
  readonly ticksPerLayer: number
  readonly publish: (snapshot: JobSnapshot) => void
  readonly publishLog: (line: JobLogLine) => void
}

/** Mulberry32: small, seeded, good enough to look at. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

export class PreviewRun {
  readonly jobId = `j_preview_${String(Date.now())}` as JobId
  readonly log: JobLogLine[] = []
  readonly #options: PreviewRunOptions
  readonly #random = createRandom(7)
  readonly #tokens: (readonly number[] | undefined)[]
  readonly #timer: ReturnType<typeof setInterval>
  #tick = 0
  #sequence = 0
  #state: JobState = { kind: 'queued' }

  constructor(options: PreviewRunOptions) {
    this.#options = options
    this.#tokens = Array.from({ length: options.checkpoint.layerCount }, () => undefined)
    this.#timer = setInterval(() => {
      this.#step()
    }, options.tickMs)
    this.#write('info', `run of ${options.recipe} on ${options.checkpoint.name} queued`)
  }

  snapshot(): JobSnapshot {
    const { checkpoint, recipe } = this.#options
    const layer = this.#layer()
    const isSweeping = this.#state.kind === 'running' && layer < checkpoint.layerCount
    return {
      jobId: this.jobId,
      sequence: this.#sequence,
      checkpointName: checkpoint.name,
      recipe,
      state: this.#state,
      stages: this.#stages(),
      layerCount: checkpoint.layerCount,
      expertCount: checkpoint.expertCount,
      activeLayer: isSweeping ? layer : undefined,
      elapsedMs: this.#tick * 1_300,
      bytesPerSecond:
        this.#tick < 4 ? undefined : 1.1e9 + 2.5e8 * Math.sin(this.#tick / 5) + 1e8 * this.#random(),
      etaMs: this.#tick < 8 ? undefined : Math.max(0, (this.#total() - this.#tick) * 1_300),
      expertTokens: this.#tokens.map((row) => (row === undefined ? undefined : [...row])),
    }
  }

  pause(): void {
    if (this.#state.kind !== 'running') return
    this.#state = { kind: 'paused', stage: this.#state.stage }
    this.#publish()
  }

  continue(): void {
    if (this.#state.kind !== 'paused') return
    this.#state = { kind: 'running', stage: this.#state.stage }
    this.#publish()
  }

  cancel(): void {
    if (this.#state.kind !== 'running' && this.#state.kind !== 'paused') return
    this.#state = { kind: 'cancelling', stage: 'export' }
    this.#publish()
    setTimeout(() => {
      this.#end({ kind: 'cancelled' })
    }, 600)
  }

  #total(): number {
    return this.#options.checkpoint.layerCount * this.#options.ticksPerLayer + 6
  }

  #layer(): number {
    return Math.floor(Math.max(0, this.#tick - 2) / this.#options.ticksPerLayer)
  }

  #step(): void {
    if (this.#state.kind === 'cancelling' || this.#state.kind === 'paused') return
    this.#tick += 1
    const { layerCount } = this.#options.checkpoint
    const layer = this.#layer()
    const stage: StageName =
      this.#tick < 2
        ? 'plan'
        : layer < layerCount
          ? 'export'
          : this.#tick < this.#total() - 2
            ? 'seal'
            : 'verify'
    this.#state = { kind: 'running', stage }
    if (layer < layerCount && this.#tick >= 2) {
      if (this.#tokens[layer] === undefined)
        this.#write('info', `layer ${String(layer)}: calibrated, 65,536 tokens`)
      this.#tokens[layer] ??= this.#route(layer)
    }
    if (this.#options.outcome === 'failed' && layer === Math.floor(layerCount / 2)) this.#fail()
    else if (this.#tick >= this.#total()) this.#end({ kind: 'succeeded', report: this.#report() })
    else this.#publish()
  }

  /** Skewed loads as trained routers show them; a few experts get nothing. */
  #route(layer: number): readonly number[] {
    const { expertCount } = this.#options.checkpoint
    return Array.from({ length: expertCount }, (_, expert) => {
      const rare = this.#options.outcome !== 'clean' && this.#random() < 0.004 * (layer < 6 ? 4 : 1)
      if (rare) return 0
      const wave = Math.sin(expert * 0.07 + layer * 0.5) * 0.8
      return Math.max(1, Math.round(600 * Math.exp(wave + (this.#random() + this.#random() - 1) * 2.4)))
    })
  }

  #stages(): readonly StageProgress[] {
    const { checkpoint, ticksPerLayer } = this.#options
    const swept = Math.max(0, Math.min(this.#tick - 2, checkpoint.layerCount * ticksPerLayer))
    const share = swept / (checkpoint.layerCount * ticksPerLayer)
    const current =
      this.#state.kind === 'running' ? STAGE_NAMES.indexOf(this.#state.stage) : STAGE_NAMES.length
    return STAGE_NAMES.map((name, index) => {
      const state = index < current ? 'done' : index === current ? 'active' : 'waiting'
      if (name === 'calibrate' && share < 1) {
        const done = Math.min(checkpoint.layerCount, this.#layer() + 1)
        return { name, state: 'active', done, total: checkpoint.layerCount, unit: 'layers' }
      }
      if (name === 'export') {
        const total = checkpoint.totalBytes
        return {
          name,
          state: share >= 1 ? 'done' : state,
          done: Math.round(total * share),
          total,
          unit: 'bytes',
        }
      }
      return { name, state, done: state === 'done' ? 1 : 0, total: name === 'seal' ? 3 : 0, unit: 'steps' }
    })
  }

  #fail(): void {
    this.#write('error', 'writing model-00031-of-00040.safetensors failed: no space left on device')
    this.#end({
      kind: 'failed',
      error: {
        code: 'DISK_FULL',
        kind: 'environment',
        subject: '~/models/out.partial/model-00031-of-00040.safetensors',
        problem: 'the disk has no space left after 118 GiB of 229 GiB',
        remedy: 'free 111 GiB or choose another output folder, then start again',
        stack: 'Error: ENOSPC: no space left on device, write',
      },
    })
  }

  #report(): RunReport {
    const { checkpoint, recipe, outputName, outcome } = this.#options
    const uncovered = this.#tokens.flatMap((row, layerIndex) =>
      (row ?? []).flatMap((count, expertIndex) =>
        count === 0 ? [{ layerIndex, expertIndex, fallback: 'median of the layer' }] : [],
      ),
    )
    return {
      displayPath: `/home/user/models/${outputName}`,
      recipe,
      profile: 'hardened',
      sourceBytes: checkpoint.totalBytes,
      outputBytes: Math.round(checkpoint.totalBytes * 0.306),
      outputFiles: [
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
        'config.json',
        'hf_quant_config.json',
        'model.safetensors.index.json',
        'quantmill/calibration.safetensors',
        'quantmill/job.log.jsonl',
        'quantmill/receipt.json',
        'quantmill/recipe.yaml',
        'tokenizer.json',
      ].map((fileName, index) => ({
        fileName,
        sizeBytes: Math.round(checkpoint.totalBytes * 0.15) / (index < 2 ? 1 : 1000 * index),
      })),
      tensorCount: checkpoint.expertCount * checkpoint.layerCount * 12 + 1270,
      quantizedTensorCount: checkpoint.expertCount * checkpoint.layerCount * 3,
      expertCount: checkpoint.expertCount * checkpoint.layerCount,
      calibratedTokens: 65_536,
      device: 'webgpu',
      workers: 8,
      uncoveredExperts: uncovered,
      findings:
        outcome === 'findings'
          ? [
              {
                code: 'EXPERT_UNCOVERED',
                subject: 'model.language_model.layers.3.mlp.experts.17',
                message: 'no calibration token reached it; its input scale is the median of the layer',
              },
            ]
          : [],
      repairs: [],
      serveCommands: [
        {
          engine: 'vllm',
          command: `vllm serve /home/user/models/${outputName} --kv-cache-dtype fp8 --quantization modelopt`,
        },
        {
          engine: 'sglang',
          command: `python -m sglang.launch_server --model-path /home/user/models/${outputName} --quantization modelopt_fp4 --kv-cache-dtype fp8_e4m3`,
        },
        { engine: 'trtllm', command: `trtllm-serve /home/user/models/${outputName}` },
      ],
      durationMs: this.#tick * 1_300,
      stageDurationsMs: { plan: 210, calibrate: 61_000, export: 43_000, seal: 900, verify: 3_100 },
      bytesRead: checkpoint.totalBytes * 1.003,
      peakResidentBytes: 1.1 * 2 ** 30,
    }
  }

  #end(state: JobState): void {
    clearInterval(this.#timer)
    this.#state = state
    this.#write('info', `run ${state.kind}`)
    this.#publish()
  }

  #publish(): void {
    this.#sequence += 1
    this.#options.publish(this.snapshot())
  }

  #write(level: JobLogLine['level'], message: string): void {
    const line: JobLogLine = { jobId: this.jobId, timeMs: Date.now(), level, message }
    this.log.push(line)
    this.#options.publishLog(line)
  }
}

/** Small complete values of the contract for renderer tests. */
import type { PathGrant, GrantId, GrantPurpose } from '../../../shared/domain/app-info.ts'
import type { CheckpointSummary } from '../../../shared/domain/checkpoint-summary.ts'
import { STAGE_NAMES, type JobId, type JobSnapshot, type RunReport } from '../../../shared/domain/job.ts'
import type { PlanSummary } from '../../../shared/domain/plan-summary.ts'

export function makeGrant(name: string, purpose: GrantPurpose = 'checkpoint'): PathGrant {
  return { grantId: `g_${name}_0000000` as GrantId, purpose, displayPath: `~/${name}`, name }
}

export function makeSnapshot(change: Partial<JobSnapshot> = {}): JobSnapshot {
  return {
    jobId: 'j_1' as JobId,
    sequence: 1,
    checkpointName: 'tiny',
    recipe: 'fp8',
    state: { kind: 'queued' },
    stages: STAGE_NAMES.map((name) => ({ name, state: 'waiting', done: 0, total: 0, unit: 'steps' })),
    layerCount: 2,
    expertCount: 2,
    activeLayer: undefined,
    elapsedMs: 0,
    bytesPerSecond: undefined,
    etaMs: undefined,
    expertTokens: [undefined, undefined],
    ...change,
  }
}

export function makeReport(change: Partial<RunReport> = {}): RunReport {
  return {
    displayPath: '/exports/tiny-fp8',
    recipe: 'fp8',
    profile: 'hardened',
    sourceBytes: 1000,
    outputBytes: 500,
    outputFiles: [],
    tensorCount: 10,
    quantizedTensorCount: 4,
    expertCount: 4,
    calibratedTokens: 4096,
    device: 'cpu',
    workers: 1,
    uncoveredExperts: [],
    findings: [],
    serveCommands: [],
    durationMs: 1500,
    stageDurationsMs: {},
    bytesRead: 1000,
    peakResidentBytes: 1,
    ...change,
  }
}

export function makePlan(change: Partial<PlanSummary> = {}): PlanSummary {
  return {
    recipe: 'fp8',
    profile: 'hardened',
    dialect: 'modelopt',
    kvCache: 'fp8',
    sourceBytes: 1000,
    outputBytes: 500,
    bitsPerWeight: 8,
    byFormat: [],
    shards: [],
    tensorCount: 1,
    needsCalibration: true,
    calibrationSiteCount: 1,
    scratchBytes: 0,
    peakMemoryBytes: 1,
    freeDiskBytes: undefined,
    estimatedDurationMs: undefined,
    engines: [],
    warnings: [],
    ...change,
  }
}

export function makeCheckpoint(name: string): CheckpointSummary {
  return {
    name,
    displayPath: `~/${name}`,
    family: 'qwen3_5_moe',
    architecture: 'Qwen3_5MoeForConditionalGeneration',
    prefix: 'model.',
    expertLayout: 'fused',
    mtpLayout: 'none',
    hasVision: false,
    layerCount: 1,
    layerKinds: ['full_attention'],
    expertCount: 2,
    topK: 1,
    hiddenSize: 8,
    expertWidth: 8,
    vocabSize: 16,
    tensorCount: 1,
    parameterCount: 1,
    totalBytes: 2,
    bytesByRole: [],
    bytesByDtype: [],
    shards: [],
    sideFiles: [],
    hasTokenizer: true,
    problems: [],
  }
}

/** A promise with its resolver outside, for answers that come when the test says so. */
export function makeDeferred<T>(): { readonly promise: Promise<T>; resolve(value: T): void } {
  let settle: ((value: T) => void) | undefined
  const promise = new Promise<T>((resolve) => {
    settle = resolve
  })
  return { promise, resolve: (value) => settle?.(value) }
}

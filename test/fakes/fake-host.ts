/** A host that records calls and answers with the smallest value of each type. Overrides replace single routes. */
import type { JobId, JobSnapshot } from '../../shared/domain/job.ts'
import type { CheckId } from '../../shared/domain/check.ts'
import type { CompareReport } from '../../shared/domain/compare-report.ts'
import type { ExportReport } from '../../shared/domain/export-report.ts'
import type { CheckpointSummary } from '../../shared/domain/checkpoint-summary.ts'
import type { PlanSummary } from '../../shared/domain/plan-summary.ts'
import type { HostApi } from '../../main/host/host-api.ts'

export interface FakeHost {
  readonly api: HostApi
  readonly calls: { readonly route: string; readonly input: unknown }[]
}

export function fakeSnapshot(jobId: string, changes: Partial<JobSnapshot> = {}): JobSnapshot {
  return {
    jobId: jobId as JobId,
    sequence: 1,
    checkpointName: 'tiny',
    recipe: 'nvfp4',
    state: { kind: 'running', stage: 'export' },
    stages: [],
    layerCount: 2,
    expertCount: 2,
    activeLayer: 0,
    elapsedMs: 5,
    bytesPerSecond: 10,
    etaMs: 20,
    expertTokens: [[1, 2], undefined],
    ...changes,
  }
}

export function createFakeHost(overrides: Partial<HostApi> = {}): FakeHost {
  const calls: { readonly route: string; readonly input: unknown }[] = []
  const api: HostApi = {
    'checkpoint.open': () =>
      Promise.resolve({ name: 'tiny', displayPath: '' } as unknown as CheckpointSummary),
    'checkpoint.list_tensors': () => Promise.resolve({ totalCount: 0, rows: [] }),
    'recipe.list': () => Promise.resolve([]),
    'plan.make': () => Promise.resolve({} as PlanSummary),
    'plan.scope': () => Promise.resolve({ entries: [], outcome: [] }),
    'device.list': () => Promise.resolve([{ device: 'cpu', isAvailable: true, detail: '' }]),
    'job.start': () => Promise.resolve({ jobId: 'j_1' as JobId }),
    'job.preflight': () => Promise.resolve({ problems: [] }),
    'job.pause': () => Promise.resolve(),
    'job.continue': () => Promise.resolve(),
    'job.cancel': () => Promise.resolve(),
    'job.get': () => Promise.resolve(fakeSnapshot('j_1')),
    'job.list': () => Promise.resolve([fakeSnapshot('j_1')]),
    'job.get_log': () => Promise.resolve([]),
    'partial.list': () => Promise.resolve([]),
    'partial.remove': () => Promise.resolve(),
    'check.start': () => Promise.resolve({ checkId: 'v_1' as CheckId }),
    'check.cancel': () => Promise.resolve(),
    'check.get': () =>
      Promise.resolve({
        checkId: 'v_1' as CheckId,
        state: { kind: 'running' },
        doneBytes: 0,
        totalBytes: 0,
      }),
    'check.result': () => Promise.resolve({ kind: 'compare', report: {} as CompareReport }),
    'report.get': () => Promise.resolve({} as ExportReport),
    'report.get_page': () => Promise.resolve('<!doctype html>'),
    'host.shutdown': () => Promise.resolve(),
    ...overrides,
  }
  const recorded = Object.fromEntries(
    Object.entries(api).map(([route, answer]) => [
      route,
      (input: unknown) => {
        calls.push({ route, input })
        return (answer as (input: unknown) => Promise<unknown>)(input)
      },
    ]),
  ) as unknown as HostApi
  return { api: recorded, calls }
}

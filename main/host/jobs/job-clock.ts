/** Wall time per stage of a job. */
import type { StageName } from '../../../shared/domain/job.ts'

export class JobClock {
  readonly stageDurationsMs: Partial<Record<StageName, number>> = {}
  private readonly startedMs = performance.now()
  private lastMs = this.startedMs

  /** Adds the time since the previous mark to `stage`. */
  mark(stage: StageName): void {
    const nowMs = performance.now()
    this.stageDurationsMs[stage] = (this.stageDurationsMs[stage] ?? 0) + nowMs - this.lastMs
    this.lastMs = nowMs
  }

  get elapsedMs(): number {
    return performance.now() - this.startedMs
  }
}

/** Keeps the log lines of a job while passing them on, so that they can travel with the export as job.log.jsonl. */
import type { JobLogLine } from '../../../shared/domain/job.ts'
import type { JobObserver } from './job-observer.ts'

export interface LoggedObserver {
  readonly observer: JobObserver
  readonly lines: readonly Omit<JobLogLine, 'jobId'>[]
}

export function keepLog(inner: JobObserver): LoggedObserver {
  const lines: Omit<JobLogLine, 'jobId'>[] = []
  const observer: JobObserver = {
    setModel: (layerCount, expertCount) => {
      inner.setModel(layerCount, expertCount)
    },
    stageStarted: (stage, total, unit) => {
      inner.stageStarted(stage, total, unit)
    },
    stageProgress: (stage, done, wasDone) => {
      inner.stageProgress(stage, done, wasDone)
    },
    stageDone: (stage) => {
      inner.stageDone(stage)
    },
    stageSkipped: (stage) => {
      inner.stageSkipped(stage)
    },
    layerActive: (layerIndex) => {
      inner.layerActive(layerIndex)
    },
    expertTokens: (layerIndex, tokens) => {
      inner.expertTokens(layerIndex, tokens)
    },
    expertAmax: (layerIndex, amax) => {
      inner.expertAmax(layerIndex, amax)
    },
    expertErrors: (layerIndex, errors) => {
      inner.expertErrors(layerIndex, errors)
    },
    log: (level, message) => {
      lines.push({ timeMs: Date.now(), level, message })
      inner.log(level, message)
    },
    isCancelled: () => inner.isCancelled(),
  }
  return { observer, lines }
}

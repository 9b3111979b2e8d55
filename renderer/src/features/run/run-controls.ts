/** What a user asks of the run in view. All throw what the host or the surface answers. */
import type { Ref } from 'vue'
import type { JobId, JobSnapshot } from '../../../../shared/domain/job.ts'
import { request } from '../../bridge/api.ts'

export interface RunControls {
  /** Does nothing while the run is neither running nor paused. */
  pauseOrContinue(): Promise<void>
  cancel(): Promise<void>
  /** Of a run that need not be in view. */
  cancelJob(jobId: JobId): Promise<void>
}

export function controlsOf(current: Readonly<Ref<JobSnapshot | undefined>>): RunControls {
  const ask = async (route: 'job.pause' | 'job.continue' | 'job.cancel'): Promise<void> => {
    if (current.value !== undefined) await request(route, { jobId: current.value.jobId })
  }
  return {
    async pauseOrContinue() {
      const kind = current.value?.state.kind
      if (kind === 'running') await ask('job.pause')
      else if (kind === 'paused') await ask('job.continue')
    },
    cancel: () => ask('job.cancel'),
    cancelJob: async (jobId) => {
      await request('job.cancel', { jobId })
    },
  }
}

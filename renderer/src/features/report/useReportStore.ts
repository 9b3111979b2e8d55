/** The report of the run in view, as the export carries it, and its verification. */
import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import type { ExportReport } from '../../../../shared/domain/export-report.ts'
import type { JobId, RunReport } from '../../../../shared/domain/job.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'
import { useCheck } from '../../composables/use-check.ts'

/** Exports and sources up to this size are verified in full without being asked: some seconds. */
const VERIFY_AT_ONCE_BYTES = 2 * 1024 ** 3

export const useReportStore = defineStore('report', () => {
  const details = shallowRef<ExportReport>()
  const error = shallowRef<SerialisedError>()
  const check = useCheck()
  let jobId: JobId | undefined

  /** Once for each run; a small one is verified against its source right away. */
  async function show(job: JobId, report: RunReport): Promise<void> {
    if (job === jobId) return
    jobId = job
    details.value = undefined
    check.reset()
    const loaded = await load(job)
    const isSmall = report.sourceBytes + report.outputBytes <= VERIFY_AT_ONCE_BYTES
    if (isSmall && jobId === job && loaded?.verification?.scope === 'headers') await verify()
  }

  async function load(job: JobId): Promise<ExportReport | undefined> {
    try {
      const loaded = await request('report.get', { jobId: job })
      if (job !== jobId) return undefined
      details.value = loaded
      error.value = undefined
      return loaded
    } catch (thrown: unknown) {
      if (job === jobId) error.value = AppError.from(thrown).serialise()
      return undefined
    }
  }

  async function verify(): Promise<void> {
    const job = jobId
    if (job === undefined) return
    const result = await check.start({ kind: 'verify_run', jobId: job })
    if (result !== undefined) await load(job)
  }

  /** Throws what the host answers. */
  async function page(): Promise<string> {
    if (jobId === undefined) return ''
    return request('report.get_page', { jobId })
  }

  return { details, error, checkState: check.state, show, verify, cancelVerify: check.cancel, page }
})

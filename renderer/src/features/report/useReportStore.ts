/** The report in view, as the export carries it, and its verification. */
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import type { GrantId, PathGrant } from '../../../../shared/domain/app-info.ts'
import type { ExportReport } from '../../../../shared/domain/export-report.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'
import { useCheck } from '../../composables/use-check.ts'
import { keyOf, requestOf, type ReportSubject } from './shown-report.ts'

/** Exports and sources up to this size are verified in full without being asked: some seconds. */
const VERIFY_AT_ONCE_BYTES = 2 * 1024 ** 3

export const useReportStore = defineStore('report', () => {
  /** An export whose report was asked for; undefined = that of the run in view. */
  const chosen = shallowRef<PathGrant>()
  const details = shallowRef<ExportReport>()
  const error = shallowRef<SerialisedError>()
  const check = useCheck()
  let subject: ReportSubject | undefined

  /** Verified just now, or as the export says of itself. */
  const verification = computed(() => {
    const { value } = check.state
    const fresh = value.kind === 'done' && value.result.kind === 'verify' ? value.result.outcome : undefined
    return fresh ?? details.value?.verification
  })

  /** Once for each subject; a small run is verified against its source right away. */
  async function show(next: ReportSubject): Promise<void> {
    if (keyOf(next) === keyOf(subject)) return
    subject = next
    details.value = undefined
    error.value = undefined
    check.reset()
    const loaded = await load(next)
    if (next.kind !== 'run' || subject !== next || loaded?.verification?.scope !== 'headers') return
    if (next.report.sourceBytes + next.report.outputBytes <= VERIFY_AT_ONCE_BYTES) await verify()
  }

  /** The folder is an export that carries a report. */
  function has(grant: PathGrant): Promise<boolean> {
    return request('report.get', { grantId: grant.grantId }).then(
      () => true,
      () => false,
    )
  }

  /** The same once more, after a failure. */
  async function reload(): Promise<void> {
    if (subject !== undefined) await load(subject)
  }

  async function load(of: ReportSubject): Promise<ExportReport | undefined> {
    try {
      const loaded = await request('report.get', requestOf(of))
      if (of !== subject) return undefined
      details.value = loaded
      error.value = undefined
      return loaded
    } catch (thrown: unknown) {
      if (of === subject) error.value = AppError.from(thrown).serialise()
      return undefined
    }
  }

  /** A run is verified against the checkpoint it has read; an export against `sourceGrantId`, or by itself. */
  async function verify(sourceGrantId?: GrantId): Promise<void> {
    const of = subject
    if (of === undefined) return
    if (of.kind === 'export') {
      await check.start({ kind: 'verify', grantId: of.grant.grantId, sourceGrantId })
      return
    }
    const result = await check.start({ kind: 'verify_run', jobId: of.jobId })
    if (result !== undefined) await load(of)
  }

  /** The page of the report in view, '' without one. Throws what the host answers. */
  async function page(): Promise<string> {
    return subject === undefined ? '' : request('report.get_page', requestOf(subject))
  }

  /** Throws what the surface answers. */
  async function reveal(): Promise<void> {
    if (subject !== undefined) await request('report.reveal', requestOf(subject))
  }

  return {
    ...{ chosen, details, error, verification, checkState: check.state },
    ...{ has, show, reload, verify, cancelVerify: check.cancel, page, reveal },
  }
})

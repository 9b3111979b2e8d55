/** What the library's buttons do. */
import type { GrantPurpose, PathGrant } from '../../../shared/domain/app-info.ts'
import type { LibraryEntry, LibraryEntryId } from '../../../shared/domain/library.ts'
import type { PartialId, PartialRun } from '../../../shared/domain/partial-run.ts'
import { request } from '../bridge/api.ts'
import { useLibraryStore } from '../features/library/useLibraryStore.ts'
import { useReportStore } from '../features/report/useReportStore.ts'
import { useRunStore } from '../features/run/useRunStore.ts'
import { text } from '../locales/en.ts'
import { useAppStore } from './useAppStore.ts'

export interface FlowParts {
  /** Failures of anything a user does here become the notice of the window. */
  readonly guarded: (action: () => Promise<void>) => Promise<void>
  readonly pick: (purpose: GrantPurpose) => Promise<PathGrant | undefined>
  readonly openGrant: (grant: PathGrant, isSample?: boolean) => Promise<void>
}

export interface LibraryFlow {
  openEntry(entry: LibraryEntry): Promise<void>
  forgetEntry(entryId: LibraryEntryId): Promise<void>
  /** Asks for what the run reads where that was not chosen in this session. */
  resumePartial(partial: PartialRun): Promise<void>
  removePartial(partialId: PartialId): Promise<void>
}

export function libraryFlow({ guarded, pick, openGrant }: FlowParts): LibraryFlow {
  const app = useAppStore()
  const library = useLibraryStore()
  const report = useReportStore()
  const run = useRunStore()

  async function resume({ partialId, needs }: PartialRun): Promise<void> {
    const chosen: Partial<Record<'checkpoint' | 'calibration', PathGrant>> = {}
    for (const { purpose, displayPath } of needs) {
      app.notice = { kind: 'hint', message: text.library.partials.choose(displayPath) }
      const grant = await pick(purpose)
      if (grant === undefined) return
      chosen[purpose] = grant
    }
    app.notice = undefined
    const { jobId } = await request('job.resume_partial', {
      partialId,
      grantId: chosen.checkpoint?.grantId,
      calibrationGrantId: chosen.calibration?.grantId,
    })
    app.view = 'run'
    await run.watchJob(jobId)
  }

  /** An export is no checkpoint to start from; what it says of itself is its report. */
  function showReport(grant: PathGrant): void {
    report.chosen = grant
    app.view = 'report'
  }

  return {
    openEntry: ({ grant, kind, isSample }) =>
      guarded(async () => {
        if (grant === undefined) return
        if (kind === 'export') showReport(grant)
        else await openGrant(grant, isSample)
      }),
    forgetEntry: (entryId) => guarded(() => library.forget(entryId)),
    resumePartial: (partial) => guarded(() => resume(partial)),
    removePartial: (partialId) => guarded(() => library.removePartial(partialId)),
  }
}

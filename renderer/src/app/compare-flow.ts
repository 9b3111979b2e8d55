/** What the buttons of Compare and Report do beyond their own view. */
import type { PathGrant } from '../../../shared/domain/app-info.ts'
import type { CompareSideName } from '../../../shared/domain/compare-report.ts'
import { request } from '../bridge/api.ts'
import { saveFile } from '../composables/save-file.ts'
import { useCheckpointStore } from '../features/checkpoint/useCheckpointStore.ts'
import { useCompareStore } from '../features/compare/useCompareStore.ts'
import { useReportStore } from '../features/report/useReportStore.ts'
import { useRunStore } from '../features/run/useRunStore.ts'
import type { FlowParts } from './library-flow.ts'
import { useAppStore } from './useAppStore.ts'

export interface CompareFlow {
  pickCompared(side: CompareSideName): Promise<void>
  /** The export of the report in view, and `source` or the checkpoint that is open. */
  compareWithSource(source: PathGrant | undefined): Promise<void>
  saveReportPage(): Promise<void>
}

export function compareFlow({ guarded, pick }: Pick<FlowParts, 'guarded' | 'pick'>): CompareFlow {
  const app = useAppStore()
  const checkpoint = useCheckpointStore()
  const compare = useCompareStore()
  const report = useReportStore()
  const run = useRunStore()

  async function grantOfRun(): Promise<PathGrant | undefined> {
    return run.currentId === undefined ? undefined : request('job.grant_output', { jobId: run.currentId })
  }

  return {
    pickCompared: (side) =>
      guarded(async () => {
        const grant = await pick('checkpoint')
        if (grant !== undefined) compare.choose(side, grant)
      }),
    compareWithSource: (source) =>
      guarded(async () => {
        const left = report.chosen ?? (await grantOfRun())
        if (left === undefined) return
        const isRun = report.chosen === undefined
        compare.choose('left', left)
        compare.choose('right', source ?? (isRun ? checkpoint.opened?.grant : undefined))
        app.view = 'compare'
        await compare.start()
      }),
    saveReportPage: () =>
      guarded(async () => {
        saveFile(`${report.details?.export.name ?? 'report'}.html`, 'text/html', await report.page())
      }),
  }
}

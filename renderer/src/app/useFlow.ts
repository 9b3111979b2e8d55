/**
 * The job from one end to the other: what the views' buttons, the shortcuts and the drops do. The only place that knows several features.
 */
import type { GrantPurpose, PathGrant } from '../../../shared/domain/app-info.ts'
import type { JobId, JobSnapshot } from '../../../shared/domain/job.ts'
import { onEvent, request } from '../bridge/api.ts'
import { useCheckpointStore } from '../features/checkpoint/useCheckpointStore.ts'
import { useFolderStore } from '../features/folders/useFolderStore.ts'
import { useLibraryStore } from '../features/library/useLibraryStore.ts'
import { useRecipeStore } from '../features/recipe/useRecipeStore.ts'
import { useReportStore } from '../features/report/useReportStore.ts'
import { useRunStore } from '../features/run/useRunStore.ts'
import { useSettingsStore } from '../features/settings/useSettingsStore.ts'
import { libraryFlow, type LibraryFlow } from './library-flow.ts'
import { compareFlow, type CompareFlow } from './compare-flow.ts'
import { settingsFlow, type SettingsFlow } from './settings-flow.ts'
import { useAppStore } from './useAppStore.ts'

export interface Flow extends CompareFlow, LibraryFlow, SettingsFlow {
  /** Listens and asks for what the window shows first; again after a failure. */
  connect(): Promise<void>
  openSample(): Promise<void>
  openFolder(): Promise<void>
  pickInto(purpose: Exclude<GrantPurpose, 'checkpoint'>): Promise<void>
  startRun(): Promise<void>
  /** A refused or failed run once more, continuing or replacing what is in its place. */
  startAgain(mode: 'resume' | 'overwrite'): Promise<void>
  watchJob(jobId: JobId): Promise<void>
  pauseOrContinue(): Promise<void>
  cancelRun(): Promise<void>
  removeQueued(jobId: JobId): Promise<void>
  /** The report of the run in view, whichever was looked at before. */
  showRunReport(): void
  revealOutput(): Promise<void>
}

/** A short look at the finished run before its result comes to the front. */
const REPORT_DELAY_MS = 700

export function useFlow(): Flow {
  const app = useAppStore()
  const checkpoint = useCheckpointStore()
  const folders = useFolderStore()
  const recipe = useRecipeStore()
  const report = useReportStore()
  const run = useRunStore()
  const library = useLibraryStore()
  const settings = useSettingsStore()
  let isListening = false

  /** Failures of anything a user does here become the notice of the window. */
  async function guarded(action: () => Promise<void>): Promise<void> {
    app.notice = undefined
    try {
      await action()
    } catch (error: unknown) {
      app.report(error)
    }
  }

  function pick(purpose: GrantPurpose): Promise<PathGrant | undefined> {
    return app.known?.hasNativeDialogs === true ? request('grant.pick', { purpose }) : folders.pick(purpose)
  }

  async function openGrant(grant: PathGrant, isSample = false): Promise<void> {
    app.view = 'checkpoint'
    recipe.clear()
    const summary = await checkpoint.open(grant)
    if (summary === undefined) return showReportInstead(grant)
    const { name, totalBytes } = summary
    await recipe.begin({ grantId: grant.grantId, checkpointName: name, totalBytes, isSample })
  }

  /** A folder that is no checkpoint to start from may be an export of Quantmill: its report says more than the refusal. */
  async function showReportInstead(grant: PathGrant): Promise<void> {
    if (checkpoint.failure?.code !== 'ARCHITECTURE_UNSUPPORTED') return
    if (!(await report.has(grant))) return
    checkpoint.close()
    report.chosen = grant
    app.view = 'report'
  }

  async function applyGrant(grant: PathGrant): Promise<void> {
    switch (grant.purpose) {
      case 'checkpoint':
        return openGrant(grant)
      case 'calibration':
        recipe.update({ calibrationGrant: grant })
        break
      case 'recipe':
        // A recipe of the user's own may say how much data it wants.
        recipe.update({ recipeGrant: grant, samples: '', sequenceLength: '' })
        break
      case 'output':
        recipe.update({ outputGrant: grant })
        break
    }
    if (checkpoint.opened !== undefined) app.view = 'recipe'
  }

  function snapshotArrived({ jobId, state }: JobSnapshot): void {
    if (state.kind !== 'succeeded' || jobId !== run.currentId || app.view !== 'run') return
    setTimeout(() => {
      if (app.view === 'run' && run.currentId === jobId) showRunReport()
    }, REPORT_DELAY_MS)
  }

  function showRunReport(): void {
    report.chosen = undefined
    app.view = 'report'
  }

  async function start(): Promise<void> {
    const input = recipe.startInput()
    if (input === undefined || !recipe.canStart || run.start.kind === 'starting') return
    app.view = 'run'
    if (await run.begin(input)) showEndIfOver()
  }

  async function startAgain(mode: 'resume' | 'overwrite'): Promise<void> {
    if (run.start.kind !== 'starting' && (await run.beginAgain(mode))) showEndIfOver()
  }

  /** A tiny run may end before its first snapshot is known to be the one in view. */
  function showEndIfOver(): void {
    if (run.current !== undefined) snapshotArrived(run.current)
  }

  return {
    connect: () =>
      guarded(async () => {
        const isFirst = !isListening
        if (isFirst) {
          isListening = true
          onEvent('grant.dropped', (grant) => void guarded(() => applyGrant(grant)))
          run.listen(snapshotArrived)
        }
        await Promise.all([app.load(), recipe.load(), run.recover(), settings.load(), library.load()])
        void app.loadDevices()
        if (isFirst && !library.isEmpty && app.view === 'checkpoint' && run.current === undefined)
          app.view = 'library'
      }),
    ...libraryFlow({ guarded, pick, openGrant }),
    ...settingsFlow({ guarded, pick }),
    ...compareFlow({ guarded, pick }),
    openSample: () => guarded(async () => openGrant(await request('grant.use_sample', {}), true)),
    openFolder: () =>
      guarded(async () => {
        const grant = await pick('checkpoint')
        if (grant !== undefined) await openGrant(grant)
      }),
    pickInto: (purpose) =>
      guarded(async () => {
        const grant = await pick(purpose)
        if (grant !== undefined) await applyGrant(grant)
      }),
    startRun: () => guarded(start),
    startAgain: (mode) => guarded(() => startAgain(mode)),
    watchJob: (jobId) =>
      guarded(async () => {
        app.view = 'run'
        await run.watchJob(jobId)
      }),
    pauseOrContinue: () => guarded(() => run.pauseOrContinue()),
    cancelRun: () => guarded(() => run.cancel()),
    removeQueued: (jobId) => guarded(() => run.cancelJob(jobId)),
    showRunReport,
    revealOutput: () => guarded(() => report.reveal()),
  }
}

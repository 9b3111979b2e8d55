/** Runs of the host as its snapshots tell them; one of them is in view. Large data is shallow: nothing walks through 30,000 counts. */
import { defineStore } from 'pinia'
import { computed, shallowRef, triggerRef } from 'vue'
import { isFinished, type JobId, type JobLogLine, type JobSnapshot } from '../../../../shared/domain/job.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import type { RouteInput } from '../../../../shared/contract/schemas.ts'
import { onEvent, request } from '../../bridge/api.ts'
import { controlsOf } from './run-controls.ts'
import { joinLog, MAX_LOG_LINES } from './log-lines.ts'
import { ThroughputHistory } from './throughput.ts'
import type { LineSeries } from '../../charts/line-series.ts'

export type StartState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'refused'; readonly error: SerialisedError }

/** Between updates of the shown log. */
const LOG_PAUSE_MS = 80
const EMPTY_SERIES: LineSeries = { x: new Float64Array(0), y: new Float64Array(0) }

export const useRunStore = defineStore('run', () => {
  const start = shallowRef<StartState>({ kind: 'idle' })
  const jobs = shallowRef(new Map<JobId, JobSnapshot>())
  const currentId = shallowRef<JobId>()
  const log = shallowRef<readonly JobLogLine[]>([])
  const throughput = shallowRef<LineSeries>(EMPTY_SERIES)
  const receivedMs = shallowRef(0)
  const history = new ThroughputHistory()
  let arrived: JobLogLine[] = []
  let lastInput: RouteInput<'job.start'> | undefined
  /** Run that `lastInput` became. */
  const lastId = shallowRef<JobId>()
  let isLogFetched = false
  let flushTimer: ReturnType<typeof setTimeout> | undefined

  const current = computed(() =>
    currentId.value === undefined ? undefined : jobs.value.get(currentId.value),
  )
  const list = computed(() => [...jobs.value.values()].reverse())
  /** In the order in which they will run. */
  const waiting = computed(() =>
    [...jobs.value.values()]
      .filter(({ queuePosition, state }) => queuePosition !== undefined && state.kind === 'queued')
      .sort((a, b) => (a.queuePosition ?? 0) - (b.queuePosition ?? 0)),
  )
  const canBeginAgain = computed(() => currentId.value !== undefined && currentId.value === lastId.value)
  const isActive = computed(() => current.value !== undefined && !isFinished(current.value.state))

  /** Takes a snapshot unless a newer one of the same job is known. */
  function receive(snapshot: JobSnapshot): boolean {
    const known = jobs.value.get(snapshot.jobId)
    if (known !== undefined && known.sequence >= snapshot.sequence) return false
    jobs.value.set(snapshot.jobId, snapshot)
    triggerRef(jobs)
    if (snapshot.jobId !== currentId.value) return true
    receivedMs.value = performance.now()
    const { elapsedMs, bytesPerSecond } = snapshot
    if (bytesPerSecond !== undefined && history.add(elapsedMs, bytesPerSecond))
      throughput.value = history.series()
    return true
  }

  function receiveLog(line: JobLogLine): void {
    if (line.jobId !== currentId.value) return
    arrived.push(line)
    if (isLogFetched) flushTimer ??= setTimeout(flushLog, LOG_PAUSE_MS)
  }

  /** A burst of lines is one change of the list. */
  function flushLog(): void {
    flushTimer = undefined
    log.value = [...log.value, ...arrived].slice(-MAX_LOG_LINES)
    arrived = []
  }

  /** Call once. */
  function listen(onSnapshot: (snapshot: JobSnapshot) => void): void {
    onEvent('job.snapshot', (snapshot) => {
      if (receive(snapshot)) onSnapshot(snapshot)
    })
    onEvent('job.log', receiveLog)
  }

  /** Finds runs that are under way since before this page was loaded. Throws what the host answers. */
  async function recover(): Promise<void> {
    const known = await request('job.list', {})
    known.forEach(receive)
    const latest = known.at(-1)
    if (latest !== undefined && currentId.value === undefined) await watchJob(latest.jobId)
  }

  async function watchJob(jobId: JobId): Promise<void> {
    currentId.value = jobId
    receivedMs.value = performance.now()
    history.clear()
    throughput.value = EMPTY_SERIES
    log.value = []
    arrived = []
    isLogFetched = false
    clearTimeout(flushTimer)
    flushTimer = undefined
    const [snapshot, lines] = await Promise.all([
      request('job.get', { jobId }),
      request('job.get_log', { jobId }),
    ])
    receive(snapshot)
    if (currentId.value !== jobId) return
    log.value = joinLog(lines, arrived)
    arrived = []
    isLogFetched = true
  }

  /** True when the run was accepted; otherwise `start` says why not. */
  async function begin(input: RouteInput<'job.start'>): Promise<boolean> {
    start.value = { kind: 'starting' }
    lastInput = input
    try {
      const { jobId } = await request('job.start', input)
      lastId.value = jobId
      await watchJob(jobId)
      start.value = { kind: 'idle' }
      return true
    } catch (error: unknown) {
      start.value = { kind: 'refused', error: AppError.from(error).serialise() }
      return false
    }
  }

  /** Starts the run that was refused or failed again, going on with or replacing what is in its place. */
  async function beginAgain(mode: 'resume' | 'overwrite'): Promise<boolean> {
    return lastInput !== undefined && (await begin({ ...lastInput, mode }))
  }

  return {
    start,
    currentId,
    current,
    list,
    waiting,
    isActive,
    canBeginAgain,
    log,
    throughput,
    receivedMs,
    receive,
    receiveLog,
    listen,
    recover,
    watchJob,
    begin,
    beginAgain,
    ...controlsOf(current),
  }
})

/**
 * One job from start to end, through any number of pauses. Pausing ends the attempt that is under way, so that device, threads and memory go
 * back to the system; continuing starts another attempt that goes on from the journal. So a pause is never less safe than a kill.
 */
import { isFinished, type RunReport } from '../../../shared/domain/job.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { JobRecord } from './job-record.ts'

export class ControlledJob {
  readonly record: JobRecord
  /** Resolves when nothing of the job runs any more; never rejects. */
  readonly done: Promise<void>
  private wake: () => void = () => undefined
  /** A continue that comes while the pause is still being reached must not be lost: a lid is opened as quickly as it is closed. */
  private isContinueWanted = false

  /** Starts `run` when it is its turn, at once without one; `isContinued` is true for every attempt after a pause. */
  constructor(record: JobRecord, run: (isContinued: boolean) => Promise<RunReport>, turn?: Promise<void>) {
    this.record = record
    this.done = this.drive(run, turn)
  }

  pause(): void {
    this.isContinueWanted = false
    this.record.apply({ kind: 'pause_requested' })
  }

  continue(): void {
    this.isContinueWanted = true
    this.wake()
  }

  cancel(): void {
    this.record.apply({ kind: 'cancel_requested' })
    this.wake()
  }

  private async drive(
    run: (isContinued: boolean) => Promise<RunReport>,
    turn: Promise<void> | undefined,
  ): Promise<void> {
    if (turn !== undefined && !(await this.untilTurn(turn))) return
    for (let isContinued = false; ; isContinued = true) {
      try {
        this.record.apply({ kind: 'succeeded', report: await run(isContinued) })
        return
      } catch (thrown: unknown) {
        if (this.ends(AppError.from(thrown))) return
      }
      if (!(await this.untilContinued())) return
    }
  }

  /** False when it was cancelled while it waited. */
  private async untilTurn(turn: Promise<void>): Promise<boolean> {
    const cancelled = new Promise<void>((resolve) => {
      this.wake = resolve
    })
    await Promise.race([turn, cancelled])
    if (isFinished(this.record.currentState)) return false
    this.record.begin()
    return true
  }

  /** False when the attempt ended because of a pause. */
  private ends(error: AppError): boolean {
    if (error.kind !== 'cancelled') {
      this.record.log('error', error.toLine())
      this.record.apply({ kind: 'failed', error: error.serialise() })
      return true
    }
    if (this.record.currentState.kind === 'pausing') {
      this.record.apply({ kind: 'paused' })
      return false
    }
    this.record.apply({ kind: 'cancelled' })
    return true
  }

  /** False when the job was cancelled instead. */
  private async untilContinued(): Promise<boolean> {
    while (this.record.currentState.kind === 'paused' && !this.isContinueWanted) {
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    if (this.record.currentState.kind !== 'paused') return false
    this.isContinueWanted = false
    this.record.apply({ kind: 'continued' })
    return true
  }
}

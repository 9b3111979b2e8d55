/** The four steps of a job and the places beside them: what each rail entry says. Pure. */
import type { JobSnapshot } from '../../../shared/domain/job.ts'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { text } from '../locales/en.ts'

export const STEPS = ['checkpoint', 'recipe', 'run', 'report'] as const
export type Step = (typeof STEPS)[number]
/** Views that are no step of a job. */
export const PLACES = ['library', 'compare', 'settings'] as const
export type Place = (typeof PLACES)[number]
export type View = Step | Place
export type StepTone = 'idle' | 'ready' | 'active' | 'bad'

export interface StepSummary {
  readonly step: Step
  readonly detail: string
  readonly tone: StepTone
}

export interface StepFacts {
  readonly checkpointName: string | undefined
  readonly checkpointFailed: boolean
  readonly recipeName: string | undefined
  readonly job: JobSnapshot | undefined
}

export function summariseSteps(facts: StepFacts): readonly StepSummary[] {
  return [
    {
      step: 'checkpoint',
      detail: facts.checkpointFailed ? text.steps.broken : (facts.checkpointName ?? text.steps.none),
      tone: facts.checkpointFailed ? 'bad' : facts.checkpointName === undefined ? 'idle' : 'ready',
    },
    {
      step: 'recipe',
      detail:
        facts.checkpointName === undefined ? text.steps.choose : (facts.recipeName ?? text.steps.choose),
      tone: facts.checkpointName === undefined ? 'idle' : 'ready',
    },
    { step: 'run', ...runSummary(facts.job) },
    { step: 'report', ...reportSummary(facts.job) },
  ]
}

function runSummary(job: JobSnapshot | undefined): Omit<StepSummary, 'step'> {
  if (job === undefined) return { detail: text.steps.idle, tone: 'idle' }
  const { state } = job
  switch (state.kind) {
    case 'running':
      return { detail: text.run.stages[state.stage], tone: 'active' }
    case 'queued':
    case 'pausing':
    case 'cancelling':
      return { detail: text.run.states[state.kind], tone: 'active' }
    case 'failed':
      return { detail: text.run.states.failed, tone: 'bad' }
    case 'paused':
    case 'cancelled':
    case 'succeeded':
      return { detail: text.run.states[state.kind], tone: 'ready' }
  }
}

function reportSummary(job: JobSnapshot | undefined): Omit<StepSummary, 'step'> {
  if (job?.state.kind !== 'succeeded') return { detail: text.steps.nothing, tone: 'idle' }
  return { detail: formatBytes(job.state.report.outputBytes), tone: 'ready' }
}

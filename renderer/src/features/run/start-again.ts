/** What can be done when an output is in the way of a run. Pure. */
import type { SerialisedError } from '../../../../shared/errors/app-error.ts'

export type StartAgainMode = 'resume' | 'overwrite'

/** Unfinished runs live in a folder with this ending. */
const PARTIAL_SUFFIX = '.partial'

/**
 * An unfinished run can be continued or replaced, a finished export only replaced. What the surroundings have ended (a full disk, a lost
 * device, a crash) continues where it was; other failures leave neither.
 */
export function startAgainModes(
  error: Pick<SerialisedError, 'code' | 'kind' | 'subject'>,
): readonly StartAgainMode[] {
  if (error.kind === 'environment') return ['resume']
  if (error.code === 'RESUME_MISMATCH' || error.code === 'RESUME_NOTHING') return ['overwrite']
  if (error.code !== 'OUTPUT_NOT_EMPTY') return []
  return error.subject.endsWith(PARTIAL_SUFFIX) ? ['resume', 'overwrite'] : ['overwrite']
}

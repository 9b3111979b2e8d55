/** Texts of the library. */
import { formatNumber } from '../../../../shared/domain/format-text.ts'

interface Need {
  readonly purpose: 'checkpoint' | 'calibration'
  readonly displayPath: string
}

export const libraryText = {
  title: 'Library',
  subtitle: 'What was used here, and what is not finished',
  loading: 'Looking at what is there…',
  failed: 'The library cannot be shown',
  emptyTitle: 'Nothing has been opened yet',
  emptyMessage: 'Checkpoints, exports and unfinished runs appear here once there are any.',
  recent: 'Recent',
  filter: 'Filter by name, folder or recipe',
  noMatch: 'Nothing matches the filter.',
  columns: {
    name: 'Name',
    kind: 'Kind',
    what: 'Family or recipe',
    size: 'Size',
    used: 'Last used',
    state: 'State',
    actions: 'Actions',
  },
  kinds: { checkpoint: 'Checkpoint', export: 'Export' },
  states: { present: 'present', unfinished: 'unfinished', missing: 'missing' },
  open: 'Open',
  report: 'Report',
  forget: 'Forget',
  partials: {
    title: 'Unfinished runs',
    states: { resumable: 'resumable', running: 'running', damaged: 'damaged' },
    from: (checkpoint: string | undefined, recipe: string | undefined) =>
      [checkpoint, recipe].filter((part) => part !== undefined).join(' · '),
    needs: (needs: readonly Need[]) =>
      `Continuing asks for ${needs.map(({ displayPath }) => displayPath).join(' and ')}`,
    progress: 'Finished tasks',
    done: (done: number, total: number | undefined) =>
      total === undefined
        ? `${formatNumber(done)} tasks`
        : `${formatNumber(done)} of ${formatNumber(total)} tasks`,
    resume: 'Continue',
    remove: 'Remove',
    question: 'Remove the unfinished run?',
    consequence: 'Its folder and everything that was written into it is deleted. This cannot be undone.',
    keep: 'Keep it',
    choose: (displayPath: string) => `The run reads ${displayPath}. Choose it to continue.`,
  },
} as const

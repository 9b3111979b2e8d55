import type { JobSnapshot } from '../../shared/domain/job.ts'
import { withoutStack as errorWithoutStack } from '../../shared/errors/app-error.ts'

/** The snapshot as the renderer may see it: a failure without the stack, which names files of the installation. */
export function withoutStack(snapshot: JobSnapshot): JobSnapshot {
  if (snapshot.state.kind !== 'failed') return snapshot
  return { ...snapshot, state: { kind: 'failed', error: errorWithoutStack(snapshot.state.error) } }
}

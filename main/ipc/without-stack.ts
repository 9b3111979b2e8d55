import type { JobSnapshot } from '../../shared/domain/job.ts'

/** The snapshot as the renderer may see it: a failure without the stack, which names files of the installation. */
export function withoutStack(snapshot: JobSnapshot): JobSnapshot {
  if (snapshot.state.kind !== 'failed') return snapshot
  const { code, kind, subject, problem, remedy } = snapshot.state.error
  return { ...snapshot, state: { kind: 'failed', error: { code, kind, subject, problem, remedy } } }
}

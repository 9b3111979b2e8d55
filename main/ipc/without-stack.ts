import type { SerialisedError } from '../../shared/errors/app-error.ts'

interface Snapshot {
  readonly state: { readonly kind: string; readonly error?: SerialisedError }
}

/** The snapshot as the renderer may see it: a failure without the stack, which names files of the installation. */
export function withoutStack<S extends Snapshot>(snapshot: S): S {
  if (snapshot.state.error === undefined) return snapshot
  const { code, kind, subject, problem, remedy } = snapshot.state.error
  return { ...snapshot, state: { ...snapshot.state, error: { code, kind, subject, problem, remedy } } }
}

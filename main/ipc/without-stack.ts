import { withoutStack as errorWithoutStack, type SerialisedError } from '../../shared/errors/app-error.ts'

interface Snapshot {
  readonly state: { readonly kind: string; readonly error?: SerialisedError }
}

/** The snapshot as the renderer may see it: a failure without its stacks, which name files of the installation. */
export function withoutStack<S extends Snapshot>(snapshot: S): S {
  if (snapshot.state.error === undefined) return snapshot
  return { ...snapshot, state: { ...snapshot.state, error: errorWithoutStack(snapshot.state.error) } }
}

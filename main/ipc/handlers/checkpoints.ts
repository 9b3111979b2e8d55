/** Checkpoints, recipes and plans: grants become paths, the host does the rest. */
import type { Library } from '../../user-data/library.ts'
import type { HandlerTable } from '../handler-table.ts'
import { runOptionsOf } from '../run-options.ts'
import type { Surface } from '../surface.ts'

type CheckpointRoutes =
  'checkpoint.open' | 'checkpoint.list_tensors' | 'recipe.list' | 'plan.make' | 'plan.scope'

export function checkpointHandlers(
  { grants, host }: Surface,
  library: Library,
): Pick<HandlerTable, CheckpointRoutes> {
  return {
    'checkpoint.open': async ({ grantId }) => {
      const checkpointPath = await grants.resolve(grantId, 'checkpoint')
      const summary = await host['checkpoint.open']({ checkpointPath })
      library.rememberCheckpoint(checkpointPath, summary)
      return { ...summary, displayPath: grants.display(checkpointPath) }
    },
    'checkpoint.list_tensors': async ({ grantId, ...query }) =>
      host['checkpoint.list_tensors']({
        checkpointPath: await grants.resolve(grantId, 'checkpoint'),
        ...query,
      }),
    'recipe.list': () => host['recipe.list']({}),
    'plan.scope': async ({ grantId, options }) =>
      host['plan.scope']({
        checkpointPath: await grants.resolve(grantId, 'checkpoint'),
        options: await runOptionsOf(options, grants),
      }),
    'plan.make': async ({ grantId, options }) =>
      host['plan.make']({
        checkpointPath: await grants.resolve(grantId, 'checkpoint'),
        options: await runOptionsOf(options, grants),
      }),
  }
}

/** The whole contract answered in the page, for looking at the window without an engine. Chosen by the page's query. */
import type { RendererApi } from '../../../shared/contract/routes.ts'
import type { TensorOrder, TensorRow } from '../../../shared/domain/checkpoint-summary.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { createFakeApi, type FakeApi } from '../bridge/fake.ts'
import {
  checkpointName,
  previewCheckpoint,
  previewDevices,
  previewFolders,
  previewGrant,
  previewInfo,
  previewPlan,
  previewRecipes,
  previewTensors,
  type PreviewSize,
} from './preview-data.ts'
import { previewEntries, previewPartials, PreviewSettings } from './preview-library.ts'
import { previewProblems, previewScope } from './preview-scope.ts'
import { PreviewRun, type PreviewOutcome } from './preview-run.ts'

/** `fake=tiny|large`, `outcome=clean|findings|failed`, `broken=checkpoint|plan|start|info`, `tick=<ms>`, `ticks=<updates for each layer>`, `rows=<tensors at least>`, `known=none`: an empty library. */
export function createPreviewApi(query: URLSearchParams): RendererApi {
  const size: PreviewSize = query.get('fake') === 'large' ? 'large' : 'tiny'
  const outcome = outcomeOf(query.get('outcome'))
  const broken = query.get('broken')
  const tickMs = Number(query.get('tick') ?? 100)
  const checkpoint = previewCheckpoint(size)
  const known = query.get('known')
  const settings = new PreviewSettings()
  const runs: PreviewRun[] = []
  let tensors: ReturnType<typeof previewTensors> | undefined
  const runOf = (jobId: string): PreviewRun => {
    const found = runs.find((run) => run.jobId === jobId)
    if (found === undefined) throw refusal('JOB_UNKNOWN', jobId, 'there is no such run', 'start a run')
    return found
  }

  const api: FakeApi = createFakeApi({
    'app.get_info': () => {
      if (broken === 'info')
        throw refusal('HOST_CRASHED', 'engine host', 'it ended with code 139', 'start Quantmill again')
      return previewInfo
    },
    'app.list_devices': () => previewDevices,
    'grant.use_sample': () => previewGrant(checkpointName(size), 'checkpoint'),
    'folder.list': () => previewFolders,
    'folder.grant': ({ entryId, purpose }) =>
      previewGrant(
        previewFolders.entries.find((entry) => entry.entryId === entryId)?.name ?? 'models',
        purpose,
      ),
    'checkpoint.open': () => {
      if (broken === 'checkpoint') {
        throw refusal(
          'SAFETENSORS_TRUNCATED',
          'model-00031-of-00094.safetensors',
          'it has 3,221,225,472 bytes, its header announces 7,985,430,528',
          'download this shard again',
        )
      }
      return checkpoint
    },
    'checkpoint.list_tensors': ({ filter, order, offset, limit }) => {
      tensors ??= previewTensors(size, Number(query.get('rows') ?? 0))
      const wanted = filter.toLowerCase()
      const found = wanted === '' ? tensors : tensors.filter(({ name }) => name.includes(wanted))
      const rows = order === undefined ? found : previewSorted(found, order)
      return { totalCount: rows.length, rows: rows.slice(offset, offset + limit) }
    },
    'recipe.list': () => previewRecipes,
    'plan.make': ({ options }) => {
      if (broken === 'plan') {
        throw refusal(
          'BLOCK_SIZE_UNSUPPORTED',
          'model.layers.0.mlp.experts',
          'width 120 is not a multiple of the block size 16',
          'choose a recipe that leaves these modules out',
        )
      }
      return previewPlan(size, options)
    },
    'job.start': ({ options, outputName }) => {
      if (broken === 'start') {
        throw refusal(
          'OUTPUT_NOT_EMPTY',
          outputName,
          'the folder exists and is not empty',
          'choose another name',
        )
      }
      const run = new PreviewRun({
        checkpoint,
        recipe: options.recipe,
        outputName,
        outcome,
        tickMs,
        ticksPerLayer: Number(query.get('ticks') ?? (size === 'large' ? 2 : 8)),
        publish: (snapshot) => {
          api.emit('job.snapshot', snapshot)
        },
        publishLog: (line) => {
          api.emit('job.log', line)
        },
      })
      runs.push(run)
      return { jobId: run.jobId }
    },
    'job.preflight': ({ options }) => ({ problems: previewProblems(size, options) }),
    'plan.scope': () => previewScope(size),
    'job.partials': () => (known === 'none' ? [] : previewPartials(size)),
    'library.list': () => (known === 'none' ? [] : previewEntries(size)),
    'settings.get': () => settings.get(),
    'settings.update': ({ change }) => settings.setPreferences(change),
    'settings.set_output_folder': () => settings.resetOutputFolder(),
    'settings.remove_calibration_set': ({ setId }) => settings.removeSet(setId),
    'job.pause': ({ jobId }) => {
      runOf(jobId).pause()
      return undefined
    },
    'job.continue': ({ jobId }) => {
      runOf(jobId).continue()
      return undefined
    },
    'job.cancel': ({ jobId }) => {
      runOf(jobId).cancel()
      return undefined
    },
    'job.get': ({ jobId }) => runOf(jobId).snapshot(),
    'job.get_log': ({ jobId }) => [...runOf(jobId).log],
    'job.list': () => runs.map((run) => run.snapshot()),
  })
  return api
}

function outcomeOf(text: string | null): PreviewOutcome {
  return text === 'findings' || text === 'failed' ? text : 'clean'
}

/** Sizes by number, everything else by its text. */
function previewSorted(rows: readonly TensorRow[], { by, isDescending }: TensorOrder): readonly TensorRow[] {
  const sign = isDescending ? -1 : 1
  if (by === 'bytes' || by === 'shape') return [...rows].sort((a, b) => sign * (a.sizeBytes - b.sizeBytes))
  return [...rows].sort((a, b) => (a[by] === b[by] ? 0 : a[by] < b[by] ? -sign : sign))
}

function refusal(
  code: ConstructorParameters<typeof AppError>[0],
  subject: string,
  problem: string,
  remedy: string,
): AppError {
  return new AppError(code, { subject, problem, remedy })
}

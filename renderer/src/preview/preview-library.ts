/** Made-up library and settings. */
import type { LibraryEntry, LibraryEntryId } from '../../../shared/domain/library.ts'
import type { PartialId, PartialRun } from '../../../shared/domain/partial-run.ts'
import {
  DEFAULT_PREFERENCES,
  type CalibrationSetId,
  type Preferences,
  type Settings,
} from '../../../shared/domain/settings.ts'
import { checkpointName, previewGrant, type PreviewSize } from './preview-data.ts'

const DAY_MS = 86_400_000
/** 24 November 2026, 14:05 UTC: pictures of the window do not change with the day. */
const NOW_MS = Date.UTC(2026, 10, 24, 14, 5)
const GIB = 2 ** 30

export function previewEntries(size: PreviewSize): readonly LibraryEntry[] {
  const name = checkpointName(size)
  const entry = (
    index: number,
    fields: Pick<LibraryEntry, 'kind' | 'name' | 'state' | 'recipe' | 'sizeBytes'>,
  ): LibraryEntry => ({
    entryId: `l_preview${String(index)}` as LibraryEntryId,
    displayPath: `~/models/${fields.name}`,
    family: 'qwen3_5_moe',
    usedMs: NOW_MS - index * 1.7 * DAY_MS,
    isSample: false,
    grant: fields.state === 'present' ? previewGrant(fields.name, 'checkpoint') : undefined,
    ...fields,
  })
  const recipe = 'nvfp4_experts_only-kv_fp8'
  return [
    entry(0, { kind: 'checkpoint', name, state: 'present', recipe: undefined, sizeBytes: 763 * GIB }),
    entry(1, { kind: 'export', name: `${name}-${recipe}`, state: 'present', recipe, sizeBytes: 221 * GIB }),
    entry(2, {
      kind: 'export',
      name: `${name}-fp8_default-kv_fp8`,
      state: 'unfinished',
      recipe: 'fp8_default-kv_fp8',
      sizeBytes: undefined,
    }),
    entry(5, {
      kind: 'checkpoint',
      name: 'Qwen3.5-35B-A3B',
      state: 'present',
      recipe: undefined,
      sizeBytes: 67 * GIB,
    }),
    entry(9, {
      kind: 'export',
      name: 'Qwen3.5-35B-A3B-mxfp8-kv_fp8_cast',
      state: 'missing',
      recipe: 'mxfp8-kv_fp8_cast',
      sizeBytes: undefined,
    }),
  ]
}

export function previewPartials(size: PreviewSize): readonly PartialRun[] {
  const name = `${checkpointName(size)}-fp8_default-kv_fp8`
  return [
    {
      partialId: 'p_preview' as PartialId,
      name,
      displayPath: `~/models/${name}.partial`,
      state: 'resumable',
      problem: undefined,
      sizeBytes: 187 * GIB,
      recipe: 'fp8_default-kv_fp8',
      checkpointName: checkpointName(size),
      doneTasks: 14_112,
      totalTasks: 31_740,
      modifiedMs: NOW_MS - 3.4 * DAY_MS,
      checkpointGrantId: undefined,
      needs: [],
    },
  ]
}

/** Settings that last as long as the page. */
export class PreviewSettings {
  #settings: Settings = {
    preferences: DEFAULT_PREFERENCES,
    outputFolder: { displayPath: '~/exports', grant: previewGrant('exports', 'output') },
    calibrationSets: [
      {
        setId: 'c_preview' as CalibrationSetId,
        name: 'support-chats',
        displayPath: '~/data/support-chats.jsonl',
        grant: previewGrant('support-chats.jsonl', 'calibration'),
      },
    ],
  }

  get(): Settings {
    return this.#settings
  }

  setPreferences(change: { readonly [K in keyof Preferences]?: Preferences[K] | undefined }): Settings {
    const given = Object.entries(change).filter(([, value]) => value !== undefined)
    const preferences = { ...this.#settings.preferences, ...Object.fromEntries(given) }
    return this.#take({ preferences })
  }

  resetOutputFolder(): Settings {
    return this.#take({ outputFolder: undefined })
  }

  removeSet(setId: string): Settings {
    return this.#take({
      calibrationSets: this.#settings.calibrationSets.filter((set) => set.setId !== setId),
    })
  }

  #take(change: Partial<Settings>): Settings {
    this.#settings = { ...this.#settings, ...change }
    return this.#settings
  }
}

/** What is kept between starts, with the schema that every part of the file has to satisfy. A part that does not is replaced by its default. */
import * as z from 'zod/mini'
import {
  calibrationSetIdSchema,
  libraryEntryIdSchema,
  preferencesSchema,
} from '../../shared/contract/schemas.ts'
import { DEFAULT_PREFERENCES, type Preferences } from '../../shared/domain/settings.ts'

/** As many as anybody looks through; the least recently used go first (CWE-770). */
export const MAX_LIBRARY_ENTRIES = 60
export const MAX_CALIBRATION_SETS = 100

const path = z.string().check(z.minLength(1), z.maxLength(32_768))
const name = z.string().check(z.minLength(1), z.maxLength(256))

const libraryEntrySchema = z.object({
  entryId: libraryEntryIdSchema,
  kind: z.enum(['checkpoint', 'export']),
  path,
  name,
  family: z.optional(name),
  recipe: z.optional(name),
  sizeBytes: z.optional(z.number().check(z.gte(0))),
  usedMs: z.number(),
})
const calibrationSetSchema = z.object({ setId: calibrationSetIdSchema, name, path })
const lastFoldersSchema = z.partialRecord(z.enum(['checkpoint', 'output', 'calibration', 'recipe']), path)

export type StoredLibraryEntry = z.infer<typeof libraryEntrySchema>
export type StoredCalibrationSet = z.infer<typeof calibrationSetSchema>

export interface StoredData {
  readonly preferences: Preferences
  readonly outputFolder: string | undefined
  readonly calibrationSets: readonly StoredCalibrationSet[]
  /** Most recently used first. */
  readonly library: readonly StoredLibraryEntry[]
  /** Where the user last was in a file dialog, by its purpose. */
  readonly lastFolders: z.infer<typeof lastFoldersSchema>
}

export const EMPTY_DATA: StoredData = {
  preferences: DEFAULT_PREFERENCES,
  outputFolder: undefined,
  calibrationSets: [],
  library: [],
  lastFolders: {},
}

/** Never throws. Unknown parts are ignored, so that an older version reads what a newer one wrote. */
export function parseStored(value: unknown): StoredData {
  const parts = asRecord(value)
  return {
    preferences: parsePreferences(parts['preferences']),
    outputFolder: valid(z.optional(path), parts['outputFolder'], undefined),
    calibrationSets: validItems(calibrationSetSchema, parts['calibrationSets'], MAX_CALIBRATION_SETS),
    library: validItems(libraryEntrySchema, parts['library'], MAX_LIBRARY_ENTRIES),
    lastFolders: valid(lastFoldersSchema, parts['lastFolders'], {}),
  }
}

/** One by one: a single wrong value does not cost the others. */
function parsePreferences(value: unknown): Preferences {
  const given = asRecord(value)
  const kept = Object.entries(preferencesSchema.shape).filter(
    ([key, schema]) => z.safeParse(schema, given[key]).success,
  )
  const accepted = Object.fromEntries(kept.map(([key]) => [key, given[key]]))
  return { ...DEFAULT_PREFERENCES, ...accepted }
}

function valid<T>(schema: z.ZodMiniType<T>, value: unknown, otherwise: T): T {
  const parsed = z.safeParse(schema, value)
  return parsed.success ? parsed.data : otherwise
}

function validItems<T>(schema: z.ZodMiniType<T>, value: unknown, atMost: number): readonly T[] {
  if (!Array.isArray(value)) return []
  const items: readonly unknown[] = value
  return items
    .flatMap((item) => {
      const parsed = z.safeParse(schema, item)
      return parsed.success ? [parsed.data] : []
    })
    .slice(0, atMost)
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

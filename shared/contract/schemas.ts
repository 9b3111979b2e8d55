/** Run-time schemas of everything the renderer may send. Requests are untrusted: sizes and counts are bounded here. */
import * as z from 'zod/mini'
import { TENSOR_COLUMNS } from '../domain/checkpoint-summary.ts'
import {
  DEVICES,
  DIALECTS,
  EXPERT_INPUT_SCALES,
  KV_CACHE_FORMATS,
  PROFILES,
  QUALITIES,
  STATISTICS,
} from '../domain/run-options.ts'
import { NUMBER_LOCALES, THEME_CHOICES } from '../domain/settings.ts'

const shortText = z.string().check(z.minLength(1), z.maxLength(256))
export const grantIdSchema = z.string().check(z.regex(/^g_[A-Za-z0-9_-]{8,64}$/))
export const jobIdSchema = z.string().check(z.regex(/^j_[A-Za-z0-9_-]{1,64}$/))
export const checkIdSchema = z.string().check(z.regex(/^v_[A-Za-z0-9_-]{1,64}$/))
const partialIdSchema = z.string().check(z.regex(/^p_[A-Za-z0-9_-]{1,64}$/))
export const libraryEntryIdSchema = z.string().check(z.regex(/^l_[A-Za-z0-9_-]{1,64}$/))
export const calibrationSetIdSchema = z.string().check(z.regex(/^c_[A-Za-z0-9_-]{1,64}$/))
export const entryIdSchema = z.string().check(z.regex(/^e_[A-Za-z0-9_-]{1,64}$/))
const wholeNumber = (minimum: number, maximum: number) => z.int().check(z.gte(minimum), z.lte(maximum))

/** A file name the user chose for the output folder: one segment, no separators, no leading dot. */
export const outputNameSchema = z.string().check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9._+ -]{0,199}$/))

export const runOptionsSchema = z.strictObject({
  recipe: shortText,
  recipeText: z.optional(z.string().check(z.maxLength(1_000_000))),
  kv: z.optional(z.enum(KV_CACHE_FORMATS)),
  dialect: z.optional(z.enum(DIALECTS)),
  profile: z.enum(PROFILES),
  expertInputScale: z.optional(z.enum(EXPERT_INPUT_SCALES)),
  maxShardSizeBytes: wholeNumber(1_000_000, Number.MAX_SAFE_INTEGER),
  samples: z.optional(wholeNumber(1, 1_000_000)),
  sequenceLength: z.optional(wholeNumber(2, 262_144)),
  statistics: z.optional(z.enum(STATISTICS)),
  quality: z.optional(z.enum(QUALITIES)),
  minTokensPerExpert: z.optional(wholeNumber(1, 1_000_000)),
  coverageBudget: z.optional(wholeNumber(1, 1_000_000)),
  device: z.enum(DEVICES),
  workers: wholeNumber(0, 256),
  memoryBytes: z.optional(wholeNumber(0, Number.MAX_SAFE_INTEGER)),
})

export const grantPurposeSchema = z.enum(['checkpoint', 'output', 'calibration', 'recipe'])

export const preferencesSchema = z.strictObject({
  theme: z.enum(THEME_CHOICES),
  numberLocale: z.enum(NUMBER_LOCALES),
  hasSingleKeys: z.boolean(),
  device: z.enum(DEVICES),
  workers: wholeNumber(0, 256),
  memoryLimitBytes: wholeNumber(0, Number.MAX_SAFE_INTEGER),
})

/** The export of a run of this session, or a folder that was granted. */
const exportSchema = z.union([
  z.strictObject({ jobId: jobIdSchema }),
  z.strictObject({ grantId: grantIdSchema }),
])

const checkSchema = z.discriminatedUnion('kind', [
  /** Of a run: against the checkpoint it read, and kept in its report. */
  z.strictObject({ kind: z.literal('verify_run'), jobId: jobIdSchema }),
  z.strictObject({
    kind: z.literal('verify'),
    grantId: grantIdSchema,
    sourceGrantId: z.optional(grantIdSchema),
  }),
  z.strictObject({ kind: z.literal('compare'), leftGrantId: grantIdSchema, rightGrantId: grantIdSchema }),
  z.strictObject({
    kind: z.literal('inspect'),
    grantId: grantIdSchema,
    tensor: z.string().check(z.minLength(1), z.maxLength(4_096)),
  }),
])

const startSchema = z.strictObject({
  grantId: grantIdSchema,
  options: runOptionsSchema,
  /** undefined = the built-in calibration set. */
  calibrationGrantId: z.optional(grantIdSchema),
  /** Folder that will hold the output folder; undefined = beside the checkpoint. */
  outputGrantId: z.optional(grantIdSchema),
  outputName: outputNameSchema,
  /** What to do with an unfinished or finished output of this name. @default new: refuse it */
  mode: z.optional(z.enum(['new', 'resume', 'overwrite'])),
})

export const REQUEST_SCHEMAS = {
  'app.get_info': z.strictObject({}),
  'app.list_devices': z.strictObject({}),
  'grant.pick': z.strictObject({ purpose: grantPurposeSchema }),
  'grant.use_sample': z.strictObject({}),
  'folder.list': z.strictObject({ entryId: z.optional(entryIdSchema) }),
  'folder.grant': z.strictObject({ entryId: entryIdSchema, purpose: grantPurposeSchema }),
  'checkpoint.open': z.strictObject({ grantId: grantIdSchema }),
  'checkpoint.list_tensors': z.strictObject({
    grantId: grantIdSchema,
    filter: z.string().check(z.maxLength(256)),
    /** undefined = as in the shards. */
    order: z.optional(z.strictObject({ by: z.enum(TENSOR_COLUMNS), isDescending: z.boolean() })),
    offset: wholeNumber(0, 100_000_000),
    limit: wholeNumber(1, 5_000),
  }),
  'recipe.list': z.strictObject({}),
  'plan.make': z.strictObject({ grantId: grantIdSchema, options: runOptionsSchema }),
  /** What each pattern of the recipe does to the checkpoint. */
  'plan.scope': z.strictObject({ grantId: grantIdSchema, options: runOptionsSchema }),
  'job.start': startSchema,
  /** What stands in the way of the same request, everything at once. */
  'job.preflight': startSchema,
  'job.pause': z.strictObject({ jobId: jobIdSchema }),
  'job.continue': z.strictObject({ jobId: jobIdSchema }),
  'job.cancel': z.strictObject({ jobId: jobIdSchema }),
  'job.get': z.strictObject({ jobId: jobIdSchema }),
  'job.list': z.strictObject({}),
  'job.get_log': z.strictObject({ jobId: jobIdSchema }),
  'report.reveal': exportSchema,
  /** Unfinished runs in this folder, or without one in every folder where exports of this session and of recent runs go. */
  'job.partials': z.strictObject({ outputGrantId: z.optional(grantIdSchema) }),
  'job.resume_partial': z.strictObject({
    partialId: partialIdSchema,
    /** Needed where the listing names no grant of its own. */
    grantId: z.optional(grantIdSchema),
    calibrationGrantId: z.optional(grantIdSchema),
  }),
  'job.remove_partial': z.strictObject({ partialId: partialIdSchema }),
  /** A grant for the export of a run, as for any other checkpoint. */
  'job.grant_output': z.strictObject({ jobId: jobIdSchema }),
  'check.start': checkSchema,
  'check.cancel': z.strictObject({ checkId: checkIdSchema }),
  'check.get': z.strictObject({ checkId: checkIdSchema }),
  'check.result': z.strictObject({ checkId: checkIdSchema }),
  'report.get': exportSchema,
  'report.get_page': exportSchema,
  'settings.get': z.strictObject({}),
  'settings.update': z.strictObject({ change: z.partial(preferencesSchema) }),
  /** undefined = beside the checkpoint. */
  'settings.set_output_folder': z.strictObject({ outputGrantId: z.optional(grantIdSchema) }),
  'settings.add_calibration_set': z.strictObject({ grantId: grantIdSchema, name: shortText }),
  'settings.remove_calibration_set': z.strictObject({ setId: calibrationSetIdSchema }),
  'library.list': z.strictObject({}),
  /** Forgets the entry; nothing on disk is touched. */
  'library.forget': z.strictObject({ entryId: libraryEntryIdSchema }),
} as const

export type RouteName = keyof typeof REQUEST_SCHEMAS
export type RouteInput<R extends RouteName> = z.infer<(typeof REQUEST_SCHEMAS)[R]>

export function isRouteName(text: string): text is RouteName {
  return Object.hasOwn(REQUEST_SCHEMAS, text)
}

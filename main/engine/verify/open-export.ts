/** Opens an export for verification: like a checkpoint, but disagreements of the index are findings and the quantization files are read. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { openCheckpoint } from '../checkpoint/open-checkpoint.ts'
import { asNumber, asObject, parseJsonObject, type JsonObject } from '../formats/hf-config/lossless-json.ts'
import type { CheckpointFolder } from '../io/ports.ts'
import {
  parseSmoothingRecord,
  SMOOTHING_FILE,
  SMOOTHING_LIMIT_BYTES,
  type SmoothingRecord,
} from '../smoothing/smoothing-record.ts'

export const INDEX_FILE = 'model.safetensors.index.json'
export const LEGACY_FILE = 'hf_quant_config.json'
const LLM_COMPRESSOR_RECIPES = ['recipe.yaml', 'recipe.yml']
/** CWE-770: as for config.json; mixed precision lists every module. */
const MAX_CONFIG_BYTES = 64 * 1024 * 1024
const MAX_INDEX_BYTES = 512 * 1024 * 1024
const OWN_FOLDER = 'quantmill'
const MAX_RECIPE_BYTES = 1024 * 1024

export interface OpenedExport {
  readonly checkpoint: Checkpoint
  readonly indexProblems: readonly AppError[]
  readonly hasIndex: boolean
  /** `metadata` of the index; undefined when it has none. */
  readonly indexMetadata: JsonObject | undefined
  /** total_size in it; undefined when it has none. */
  readonly declaredTotalBytes: number | undefined
  /** Contents of hf_quant_config.json. */
  readonly legacy: JsonObject | undefined
  /** Text of llm-compressor's recipe; undefined without one. */
  readonly recipeText: string | undefined
  /** What our own exports say about weights that were rewritten before they were rounded; undefined for any other. */
  readonly smoothing?: SmoothingRecord | undefined
}

/**
 * Reads headers, index, configurations and our own record of smoothing. Throws what openCheckpoint throws for unreadable files, CONFIG_INVALID,
 * FILE_TOO_LARGE, SMOOTHING_INVALID.
 */
export async function openExport(folder: CheckpointFolder): Promise<OpenedExport> {
  const indexProblems: AppError[] = []
  const checkpoint = await openCheckpoint(folder, {
    onIndexProblem: (problem) => {
      indexProblems.push(problem)
    },
  })
  const files = (await folder.list()).filter(({ kind }) => kind === 'file').map(({ name }) => name)
  const names = new Set(files)
  const hasIndex = names.has(INDEX_FILE)
  if (hasIndex) indexProblems.push(...strayShards(files, checkpoint, indexProblems))
  const indexMetadata = hasIndex ? await readMetadata(folder) : undefined
  return {
    checkpoint,
    indexProblems,
    hasIndex,
    indexMetadata,
    declaredTotalBytes: asNumber(indexMetadata?.['total_size']),
    legacy: names.has(LEGACY_FILE)
      ? parseJsonObject(await folder.readAll(LEGACY_FILE, MAX_CONFIG_BYTES), LEGACY_FILE)
      : undefined,
    recipeText: await readRecipe(folder, names),
    smoothing: await readSmoothing(folder),
  }
}

/** Weight files that the index does not mention: engines that load every file of the folder would see their tensors. */
function strayShards(
  files: readonly string[],
  { shards }: Checkpoint,
  missing: readonly AppError[],
): readonly AppError[] {
  const listed = new Set(shards.map(({ fileName }) => fileName))
  return files
    .filter((name) => name.endsWith('.safetensors') && !listed.has(name))
    .filter((name) => !missing.some(({ subject }) => subject.endsWith(`/${name}`)))
    .map(
      (name) =>
        new AppError('INDEX_INVALID', {
          subject: name,
          problem: 'the folder has this weight file, but the index does not list it',
          remedy: 'remove the file or list its tensors',
        }),
    )
}

async function readMetadata(folder: CheckpointFolder): Promise<JsonObject | undefined> {
  const bytes = await folder.readAll(INDEX_FILE, MAX_INDEX_BYTES)
  return asObject(parseJsonObject(bytes, INDEX_FILE, 'INDEX_INVALID')['metadata'])
}

async function readRecipe(folder: CheckpointFolder, names: ReadonlySet<string>): Promise<string | undefined> {
  const name = LLM_COMPRESSOR_RECIPES.find((candidate) => names.has(candidate))
  if (name === undefined) return undefined
  return new TextDecoder('utf-8').decode(await folder.readAll(name, MAX_RECIPE_BYTES))
}

async function readSmoothing(folder: CheckpointFolder): Promise<SmoothingRecord | undefined> {
  const own = await folder.subfolder?.(OWN_FOLDER)
  if (own === undefined || (await own.sizeOf(SMOOTHING_FILE)) === undefined) return undefined
  const bytes = await own.readAll(SMOOTHING_FILE, SMOOTHING_LIMIT_BYTES)
  return parseSmoothingRecord(`${OWN_FOLDER}/${SMOOTHING_FILE}`, bytes)
}

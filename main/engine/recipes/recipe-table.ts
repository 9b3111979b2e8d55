/**
 * The built-in recipes as a Markdown table: what each does, costs and needs, and which engines and GPUs load it. Made from the recipes and
 * the engine rules, for docs/recipes.md; a test keeps the file equal to it.
 */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { RecipeSummary } from '../../../shared/domain/recipe-summary.ts'
import type { WeightFormat } from '../quant/formats.ts'

export interface RecipeRow {
  readonly summary: RecipeSummary
  readonly dialect: string
  readonly formats: readonly WeightFormat[]
  readonly engines: readonly EngineVerdict[]
}

/** Lowest compute capability of vLLM's methods, ×10. Source: `get_min_capability` of its ModelOpt methods; mixed exports need the highest. */
const MINIMUM_CAPABILITY: Readonly<Partial<Record<WeightFormat, number>>> = {
  fp8: 89,
  fp8_pc_pt: 89,
  fp8_pb_wo: 89,
  nvfp4: 75,
  nvfp4_static: 75,
  w4a16_nvfp4: 75,
  w4a16_nvfp4_static: 75,
  mxfp8: 80,
}

const NAMES = { vllm: 'vLLM', sglang: 'SGLang', trtllm: 'TensorRT-LLM' } as const

export function recipeTable(rows: readonly RecipeRow[]): string {
  const head = [
    'recipe',
    'what it does',
    'bits per weight',
    'KV cache',
    'data',
    'dialect',
    ...Object.values(NAMES),
    'GPU (vLLM)',
  ]
  const lines = rows.map(({ summary, dialect, formats, engines }) => [
    `\`${summary.name}\``,
    summary.purpose.replaceAll('|', '\\|'),
    summary.bitsPerWeight.toFixed(2),
    summary.kvCache,
    summary.needsData ? 'yes' : 'no',
    dialect,
    ...Object.keys(NAMES).map(
      (engine) => engines.find((verdict) => verdict.engine === engine)?.verdict ?? 'unknown',
    ),
    minimumGpu(dialect, formats, engines),
  ])
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function minimumGpu(
  dialect: string,
  formats: readonly WeightFormat[],
  engines: readonly EngineVerdict[],
): string {
  const isLoaded = engines.some(({ engine, verdict }) => engine === 'vllm' && verdict !== 'fails')
  const capabilities = formats.map((format) => MINIMUM_CAPABILITY[format])
  if (!isLoaded || dialect !== 'modelopt' || capabilities.length === 0) return '–'
  if (capabilities.some((capability) => capability === undefined)) return '–'
  return `sm${String(Math.max(...capabilities.map((capability) => capability ?? 0)))} or newer`
}

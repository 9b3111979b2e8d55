/**
 * The built-in recipes as a Markdown table: what each does, costs and needs, and which engines and GPUs load it. Made from the recipes and
 * the engine rules, for docs/recipes.md; a test keeps the file equal to it.
 */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { RecipeSummary } from '../../../shared/domain/recipe-summary.ts'
import type { WeightFormat } from '../quant/formats.ts'
import { minimumCapability } from './minimum-capability.ts'

export interface RecipeRow {
  readonly summary: RecipeSummary
  readonly dialect: string
  readonly formats: readonly WeightFormat[]
  readonly engines: readonly EngineVerdict[]
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
  const capability = minimumCapability(dialect, formats)
  return !isLoaded || capability === undefined ? '–' : `sm${String(capability)} or newer`
}

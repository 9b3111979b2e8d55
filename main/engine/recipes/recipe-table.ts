/**
 * The built-in recipes as a Markdown table: what each does, costs and needs, and which engines and GPUs load it. Made from the recipes and
 * the engine rules, for docs/recipes.md; a test keeps the file equal to it.
 */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { GpuRange, RecipeSummary } from '../../../shared/domain/recipe-summary.ts'
import { DIALECTS, type DialectChoice } from '../../../shared/domain/run-options.ts'

export interface RecipeRow {
  readonly summary: RecipeSummary
  /** What a run without --dialect writes. */
  readonly dialect: DialectChoice
  /** By dialect; without an entry the dialect cannot hold the recipe. */
  readonly engines: ReadonlyMap<DialectChoice, readonly EngineVerdict[]>
}

const ENGINES = { vllm: 'vLLM', sglang: 'SGLang', trtllm: 'TensorRT-LLM' } as const
const SHORT = { modelopt: 'MO', 'compressed-tensors': 'CT' } as const satisfies Record<DialectChoice, string>

/** One row per recipe; an engine has one column per dialect. */
export function recipeTable(rows: readonly RecipeRow[]): string {
  const engineColumns = Object.entries(ENGINES).flatMap(([engine, title]) =>
    DIALECTS.map((dialect) => ({ engine, dialect, title: `${title}, ${SHORT[dialect]}` })),
  )
  const head = [
    'recipe',
    'what it does',
    'bits per weight',
    'KV cache',
    'data',
    'default',
    ...engineColumns.map(({ title }) => title),
    ...DIALECTS.map((dialect) => `GPU (vLLM), ${SHORT[dialect]}`),
  ]
  const lines = rows.map(({ summary, dialect, engines }) => [
    `\`${summary.name}\``,
    summary.purpose.replaceAll('|', '\\|'),
    summary.bitsPerWeight.toFixed(2),
    summary.kvCache,
    summary.needsData ? 'yes' : 'no',
    SHORT[dialect],
    ...engineColumns.map((column) => {
      const verdicts = engines.get(column.dialect)
      return verdicts === undefined
        ? '–'
        : (verdicts.find(({ engine }) => engine === column.engine)?.verdict ?? 'unknown')
    }),
    ...DIALECTS.map((name) => gpuText(summary, name, engines.get(name))),
  ])
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function gpuText(
  { gpus }: RecipeSummary,
  dialect: DialectChoice,
  engines: readonly EngineVerdict[] | undefined,
): string {
  const isLoaded = engines?.some(({ engine, verdict }) => engine === 'vllm' && verdict !== 'fails') ?? false
  const range = gpus.find((candidate) => candidate.dialect === dialect)
  return !isLoaded || range === undefined ? '–' : rangeText(range)
}

function rangeText({ minimum, maximum }: GpuRange): string {
  if (maximum === undefined) return `sm${String(minimum)} or newer`
  return maximum === minimum ? `sm${String(minimum)} only` : `sm${String(minimum)} to sm${String(maximum)}`
}

/** A recipe as lists show it, worked out on a small stand-in for a Qwen3.5-MoE model: the same code decides as in a run. */
import {
  RECIPE_PARTS,
  type GpuRange,
  type RecipePart,
  type RecipeSummary,
} from '../../../shared/domain/recipe-summary.ts'
import { DIALECTS, type DialectChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { adoptFormats, dialectOf } from '../dialects/choose-dialect.ts'
import type { QuantizableModule } from '../models/moe-model.ts'
import { bitsPerWeight } from '../quant/layout.ts'
import { gpuRange } from './gpu-range.ts'
import type { Recipe } from './recipe.ts'
import { resolveTarget, type RecipeTarget, type ResolvedFormats } from './resolve-formats.ts'

const LAYERS = 'model.language_model.layers'

/** One layer of each kind with the weight counts, in millions, of all such layers of the 35B model. */
const STAND_IN: readonly (readonly [module: string, kind: QuantizableModule['kind'], megaWeights: number])[] =
  [
    ['model.language_model.embed_tokens', 'embedding', 508],
    [`${LAYERS}.0.linear_attn.conv1d`, 'conv', 1],
    [`${LAYERS}.0.linear_attn.out_proj`, 'linear', 252],
    [`${LAYERS}.0.linear_attn.in_proj_qkv`, 'linear', 503],
    [`${LAYERS}.0.linear_attn.in_proj_z`, 'linear', 252],
    [`${LAYERS}.0.linear_attn.in_proj_b`, 'linear', 2],
    [`${LAYERS}.0.linear_attn.in_proj_a`, 'linear', 2],
    [`${LAYERS}.0.mlp.experts`, 'experts', 32212],
    [`${LAYERS}.0.mlp.shared_expert.gate_proj`, 'linear', 42],
    [`${LAYERS}.0.mlp.shared_expert.up_proj`, 'linear', 42],
    [`${LAYERS}.0.mlp.shared_expert.down_proj`, 'linear', 42],
    [`${LAYERS}.0.mlp.shared_expert_gate`, 'linear', 0.1],
    [`${LAYERS}.3.self_attn.q_proj`, 'linear', 168],
    [`${LAYERS}.3.self_attn.k_proj`, 'linear', 10],
    [`${LAYERS}.3.self_attn.v_proj`, 'linear', 10],
    [`${LAYERS}.3.self_attn.o_proj`, 'linear', 84],
    ['lm_head', 'linear', 508],
  ]

const TARGET: RecipeTarget = {
  modules: STAND_IN.map(([name, kind]) => ({ name, kind, layerIndex: undefined })),
  fusionGroups: [],
  attentionModules: [`${LAYERS}.3.self_attn`],
  expertCount: 1,
}

/** Throws what resolveFormats throws. */
export function summariseRecipe(recipe: Recipe): RecipeSummary {
  const resolved = resolveTarget(recipe, TARGET)
  const { formats, kvCache } = resolved
  let bits = 0
  let weights = 0
  for (const [module, , megaWeights] of STAND_IN) {
    const format = formats.get(module)
    if (format === undefined) continue
    bits += bitsPerWeight(format) * megaWeights
    weights += megaWeights
  }
  const needsScale = [...formats.values()].some(({ inputScale }) => inputScale?.kind === 'calibrated')
  return {
    name: recipe.name,
    purpose: recipe.purpose,
    formats: [...new Set([...formats.values()].map(({ format }) => format))],
    kvCache,
    needsData: needsScale || recipe.smoothing !== undefined || kvCache === 'fp8' || kvCache === 'nvfp4',
    covers: RECIPE_PARTS.filter((part) => [...formats.keys()].some((module) => partOf(module) === part)),
    gpus: gpus(recipe.dialect ?? 'modelopt', resolved),
    bitsPerWeight: weights === 0 ? 0 : Math.round((bits / weights) * 1000) / 1000,
  }
}

function gpus(
  own: DialectChoice,
  resolved: Pick<ResolvedFormats, 'formats' | 'kvCache'>,
): readonly GpuRange[] {
  const dialects = [own, ...DIALECTS.filter((name) => name !== own)]
  return dialects.flatMap((name) => {
    try {
      const { formats } = adoptFormats(dialectOf(name), resolved)
      return (
        gpuRange(
          name,
          [...formats.values()].map(({ format }) => format),
        ) ?? []
      )
    } catch (error: unknown) {
      if (error instanceof AppError && error.code === 'DIALECT_UNSUPPORTED') return []
      throw error
    }
  })
}

function partOf(module: string): RecipePart {
  if (module.endsWith('.experts')) return 'experts'
  if (module.includes('shared_expert')) return 'shared_experts'
  return module.includes('attn') ? 'attention' : 'head'
}

/**
 * Which tensors of a Qwen3.5-MoE layer a set of vectors rewrites, by module names of the export. A norm's outputs are read by every
 * projection of the mixer, or by router, shared expert and all routed experts; what down reads is silu(gate) · up and therefore linear in
 * the rows of up. o_proj and out_proj are left alone: several query heads share a value head, whose scale the KV cache depends on, and the
 * gated norm of linear attention is shared by all heads. lm_head is left alone because the multi-token-prediction block uses it too.
 */
import type { MoeModel } from '../models/moe-model.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import type { SmoothingGroup, SmoothingMethod, TensorFold, VectorRef } from './smoothing.ts'

const MIXER_NORM = 'input_layernorm'
const MLP_NORM = 'post_attention_layernorm'
const SHARED_UP = 'mlp.shared_expert.up_proj'
const SHARED_DOWN = 'mlp.shared_expert.down_proj'
const EXPERTS = 'mlp.experts'
const EXPERTS_DOWN = `${EXPERTS}.down_proj`
const SHARED_READER = 'mlp.shared_expert.gate_proj'

/** Readers of a norm, by name below the layer. */
const READERS: Readonly<Record<string, readonly string[]>> = {
  [MIXER_NORM]: [
    'self_attn.q_proj',
    'self_attn.k_proj',
    'self_attn.v_proj',
    'linear_attn.in_proj_qkv',
    'linear_attn.in_proj_z',
    'linear_attn.in_proj_b',
    'linear_attn.in_proj_a',
  ],
  [MLP_NORM]: ['mlp.gate', 'mlp.shared_expert_gate', SHARED_READER, SHARED_UP],
}

const READS = new Map(
  Object.entries(READERS).flatMap(([norm, readers]) => readers.map((reader) => [reader, norm] as const)),
)
const LAYER_MODULE = /^(?<layer>.+\.layers\.(?<index>\d+))\.(?<rest>.+)$/
const EXPERT_MODULE = /^mlp\.experts\.(?<expert>\d+)\.(?<projection>gate|up|down)_proj$/

/** `keys` = names of the vectors that there are. */
export class FoldMap {
  private readonly keys: ReadonlySet<string>

  constructor(keys: Iterable<string>) {
    this.keys = new Set(keys)
  }

  /** undefined for a tensor that stays as it is. `module` = its name without `.weight`. */
  foldOf(module: string): TensorFold | undefined {
    const { layer = '', rest = '' } = LAYER_MODULE.exec(module)?.groups ?? {}
    // The block for multi-token prediction has layers of its own, which none of these vectors belongs to.
    if (layer === '' || layer.startsWith('mtp.')) return undefined
    const ref = (key: string, copy = 0): VectorRef | undefined =>
      this.keys.has(`${layer}.${key}`) ? { key: `${layer}.${key}`, copy } : undefined
    const { expert, projection } = EXPERT_MODULE.exec(rest)?.groups ?? {}
    return expert === undefined ? foldOfLinear(rest, ref) : foldOfExpert(Number(expert), projection, ref)
  }
}

/** The vector of a key below the layer; undefined when there is none. */
type Refer = (key: string, copy?: number) => VectorRef | undefined

function foldOfExpert(expert: number, projection: string | undefined, ref: Refer): TensorFold | undefined {
  const own = ref(EXPERTS_DOWN, expert)
  if (projection === 'down') return compact({ columns: own })
  return compact({ columns: ref(MLP_NORM), rows: projection === 'up' ? own : undefined })
}

function foldOfLinear(rest: string, ref: Refer): TensorFold | undefined {
  if (rest in READERS) return compact({ norm: ref(rest) })
  if (rest === SHARED_DOWN) return compact({ columns: ref(SHARED_DOWN) })
  const norm = READS.get(rest)
  return compact({
    columns: norm === undefined ? undefined : ref(norm),
    rows: rest === SHARED_UP ? ref(SHARED_DOWN) : undefined,
  })
}

function compact(fold: TensorFold): TensorFold | undefined {
  const { columns, rows, norm } = fold
  return columns === undefined && rows === undefined && norm === undefined ? undefined : fold
}

/** Vectors that a model needs: one for every set of channels that a quantized linear reads. In the order of the layers. */
export function smoothingGroups(
  method: SmoothingMethod,
  model: Pick<MoeModel, 'prefix' | 'text'>,
  formats: ReadonlyMap<string, ModuleFormat>,
): readonly SmoothingGroup[] {
  const { prefix, text } = model
  const groups: SmoothingGroup[] = []
  for (const [layerIndex, kind] of text.layerKinds.entries()) {
    const layer = `${prefix}.layers.${String(layerIndex)}`
    const isSmoothed = (module: string): boolean => {
      const format = formats.get(`${layer}.${module}`)
      return format !== undefined && (method.kind === 'awq_lite' || isEightBit(format))
    }
    const add = (key: string, width: number, site: string, copies = 1): void => {
      groups.push({ layerIndex, key: `${layer}.${key}`, width, copies, site: `${layer}.${site}` })
    }
    const mixer = kind === 'full_attention' ? 'self_attn.q_proj' : 'linear_attn.in_proj_qkv'
    if (READERS[MIXER_NORM]?.some(isSmoothed) === true)
      add(MIXER_NORM, text.hiddenSize, `${mixer}.input_quantizer`)
    if ([EXPERTS, ...(READERS[MLP_NORM] ?? [])].some(isSmoothed))
      add(MLP_NORM, text.hiddenSize, `${SHARED_READER}.input_quantizer`)
    if (isSmoothed(EXPERTS))
      add(EXPERTS_DOWN, text.expertWidth, `${EXPERTS_DOWN}_input_quantizer`, text.expertCount)
    if (isSmoothed(SHARED_DOWN)) add(SHARED_DOWN, text.sharedExpertWidth, `${SHARED_DOWN}.input_quantizer`)
  }
  return groups
}

/** SmoothQuant is for weights and inputs of 8 bit; anything else it leaves alone. Source: ModelOpt's smoothquant. */
function isEightBit({ format, inputScale, hasDynamicInput }: ModuleFormat): boolean {
  const isEight = format === 'int8_sq' || format === 'fp8' || format === 'fp8_pc_pt'
  return isEight && (inputScale !== undefined || hasDynamicInput === true)
}

/** Quantized linears whose inputs no vector is found for, by name below the layer, and why. */
export const LEFT_ALONE: Readonly<Record<string, string>> = {
  'self_attn.o_proj': 'several query heads share a value head, whose scale the KV cache depends on',
  'linear_attn.out_proj': 'its inputs come from a norm that all heads share',
  lm_head: 'the multi-token-prediction block uses it too',
}

/** Names of LEFT_ALONE that the formats quantize. */
export function leftAlone(formats: ReadonlyMap<string, ModuleFormat>): readonly string[] {
  const modules = [...formats.keys()]
  return Object.keys(LEFT_ALONE).filter((name) => modules.some((module) => module.endsWith(name)))
}

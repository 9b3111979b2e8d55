/**
 * How the inputs of one layer are rounded by an engine that loads the export, with the scales it would use: linears that engines fuse take
 * the largest of their scales, gate and up of an expert as well, and most kernels one for all experts of a layer. Source: the weight
 * loaders of vLLM and SGLang.
 */
import type { ExpertInputArithmetic } from '../../../shared/domain/quality-report.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { FakeQuantizer, type SiteRounding } from '../calibration/fake-quant/fake-quantizer.ts'
import { DOWN_SITE, GATE_UP_SITE } from '../calibration/forward/experts.ts'
import { HEAD_SITE } from '../calibration/forward/head.ts'
import type { GraphVariant } from '../calibration/graph-cache.ts'
import { f32Tensor } from '../onnx/graph-runtime.ts'
import { arithmeticKey, usesStoredScale, type InputArithmetic } from '../quant/inputs/input-arithmetic.ts'
import type { SoundMatrix } from '../verify/check-tensors.ts'
import type { ExpectedModel } from '../verify/expected-model.ts'
import { layerOf } from './float-model.ts'
import type { StoredPart } from './stored-part.ts'
import type { StoredScales } from './stored-scales.ts'

const EXPERT_MODULE = /\.experts\.(\d+)\.(\w+)$/

interface Site {
  readonly rounding: SiteRounding
  /** Scale of the site, or of each expert; empty where the arithmetic has none. */
  readonly scales: readonly number[]
  /** Vectors that inputs are multiplied by first, of the site or of each expert. */
  readonly preScales: readonly Float32Array<ArrayBuffer>[]
}

export interface LayerContext {
  readonly model: ExpectedModel
  readonly layerIndex: number | undefined
  readonly part: StoredPart
  readonly scales: StoredScales
  readonly expertInputs: ExpertInputArithmetic
}

/** undefined when nothing is rounded. Throws SCALE_NOT_FINITE for a scale that is not finite and positive, BLOCK_SIZE_UNSUPPORTED. */
export async function layerRounding(context: LayerContext): Promise<GraphVariant | undefined> {
  const sites = new Map<string, Site>([...(await linearSites(context)), ...(await expertSites(context))])
  for (const [site, { arithmetic, scale }] of await context.scales.cacheOf(
    context.model,
    context.layerIndex,
  )) {
    assertScale(`layer ${String(context.layerIndex)}: ${site}`, scale)
    const rounding = { arithmetic, scaleName: site, hasPreScale: false }
    sites.set(site, { rounding, scales: [scale], preScales: [] })
  }
  return sites.size === 0 ? undefined : variantOf(sites)
}

function variantOf(sites: ReadonlyMap<string, Site>): GraphVariant {
  const byScale = new Map([...sites.values()].map((site) => [site.rounding.scaleName, site]))
  const key = [...sites]
    .map(([site, { rounding }]) =>
      [site, arithmeticKey(rounding.arithmetic), rounding.scaleName, String(rounding.hasPreScale)].join(' '),
    )
    .sort()
    .join(', ')
  return {
    key,
    makeQuantizer: () => new FakeQuantizer((site) => sites.get(site)?.rounding),
    feed: ({ kind, scaleName }, expert = 0) => {
      const site = byScale.get(scaleName)
      if (kind === 'pre_scale') {
        const vector = site?.preScales[expert] ?? new Float32Array(0)
        return f32Tensor([vector.length], vector)
      }
      return f32Tensor([], Float32Array.of(site?.scales[expert] ?? Number.NaN))
    },
  }
}

/** Linears of the layer; those of a fusion group that are rounded alike share the largest scale. */
async function linearSites(context: LayerContext): Promise<Map<string, Site>> {
  const { model, layerIndex, part, scales } = context
  const sites = new Map<string, Site>()
  const matrices = [...part.matrices.values()].filter(({ unit }) => unit.kind === 'linear')
  for (const matrix of matrices) {
    const { module } = matrix.matrix
    const arithmetic = effectiveArithmetic(matrix)
    if (arithmetic === undefined) continue
    const group = model.groups.find((members) => members.includes(module)) ?? [module]
    const alike = matrices.filter((other) => {
      const same = effectiveArithmetic(other)
      const isInGroup = group.includes(other.matrix.module)
      return isInGroup && same !== undefined && arithmeticKey(same) === arithmeticKey(arithmetic)
    })
    const preScale = await scales.preScaleOf(matrix)
    // A vector of its own makes an input of its own.
    const leader = preScale === undefined ? (alike[0] ?? matrix) : matrix
    const site = siteOf(model, layerIndex, module)
    sites.set(site, {
      rounding: {
        arithmetic,
        scaleName: siteOf(model, layerIndex, leader.matrix.module),
        hasPreScale: preScale !== undefined,
      },
      scales: usesStoredScale(arithmetic) ? [await largestScale(scales, alike)] : [],
      preScales: preScale === undefined ? [] : [preScale],
    })
  }
  return sites
}

async function expertSites(context: LayerContext): Promise<Map<string, Site>> {
  const sites = new Map<string, Site>()
  for (const [name, projections] of [
    [GATE_UP_SITE, ['gate_proj', 'up_proj']],
    [DOWN_SITE, ['down_proj']],
  ] as const) {
    const site = await expertSite(context, name, projections)
    if (site !== undefined) sites.set(name, site)
  }
  return sites
}

/** Projections that read the same tensor, over all experts; all experts of a layer are rounded alike. */
async function expertSite(
  { part, scales, expertInputs }: LayerContext,
  name: string,
  projections: readonly string[],
): Promise<Site | undefined> {
  const experts = membersByExpert(part, projections)
  const [first] = experts.get(0) ?? []
  const arithmetic = first && effectiveArithmetic(first)
  if (arithmetic === undefined) return undefined
  const own: number[] = []
  const preScales: Float32Array<ArrayBuffer>[] = []
  for (const [expert, members] of experts) {
    if (usesStoredScale(arithmetic)) own[expert] = await largestScale(scales, members)
    const preScale = members[0] && (await scales.preScaleOf(members[0]))
    if (preScale !== undefined) preScales[expert] = preScale
  }
  const shared = own.reduce((most, scale) => Math.max(most, scale), 0)
  return {
    rounding: { arithmetic, scaleName: name, hasPreScale: preScales.length > 0 },
    scales: expertInputs === 'layer_max' ? own.map(() => shared) : own,
    preScales,
  }
}

function membersByExpert(
  { matrices }: StoredPart,
  projections: readonly string[],
): ReadonlyMap<number, readonly SoundMatrix[]> {
  const experts = new Map<number, SoundMatrix[]>()
  for (const matrix of matrices.values()) {
    const [, expert, projection = ''] = EXPERT_MODULE.exec(matrix.matrix.module) ?? []
    if (matrix.unit.kind !== 'experts' || !projections.includes(projection)) continue
    const members = experts.get(Number(expert))
    if (members === undefined) experts.set(Number(expert), [matrix])
    else members.push(matrix)
  }
  return experts
}

/** A stored scale that may be absent is then found for every token. */
function effectiveArithmetic({ stored, parts }: SoundMatrix): InputArithmetic | undefined {
  const { inputArithmetic } = stored
  if (inputArithmetic === undefined || inputArithmetic === 'unknown') return undefined
  if (!usesStoredScale(inputArithmetic) || parts.some(({ rule }) => rule.role === 'input_scale')) {
    return inputArithmetic
  }
  return { kind: inputArithmetic.kind === 'int8_tensor' ? 'int8_token' : 'fp8_token' }
}

async function largestScale(scales: StoredScales, matrices: readonly SoundMatrix[]): Promise<number> {
  let largest = 0
  for (const matrix of matrices) {
    const scale = await scales.inputScaleOf(matrix)
    assertScale(`${matrix.matrix.module}.input_scale`, scale)
    largest = Math.max(largest, scale)
  }
  return largest
}

function assertScale(subject: string, scale: number): void {
  if (scale > 0 && Number.isFinite(scale)) return
  throw new AppError('SCALE_NOT_FINITE', {
    subject,
    problem: `the scale is ${String(scale)}, not finite and positive`,
    remedy: 'calibrate again with data that reaches it',
  })
}

/** Name of a module within its layer, as the graphs call it. */
function siteOf({ prefix }: ExpectedModel, layerIndex: number | undefined, module: string): string {
  if (layerIndex === undefined) return layerOf(prefix, module) === undefined ? HEAD_SITE : module
  return module.slice(`${prefix}.layers.${String(layerIndex)}.`.length)
}

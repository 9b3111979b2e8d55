/** From stored matrices to what a planner works on: formats by module, KV cache format, and the quantizers whose scales exist. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { KvCacheFormat, ModuleFormat } from '../quant/formats.ts'
import { activationDivisor } from '../quant/layout.ts'
import type { DeclaredQuantization } from './declared-schemes.ts'
import type { StoredQuantization } from './stored-modules.ts'

const EXPERT = /^(.+\.mlp\.experts)\.\d+\.(gate|up|down)_proj$/

/** What recipes call the module a stored matrix belongs to: the experts of a layer are one module. */
export function moduleKey(name: string): string {
  return EXPERT.exec(name)?.[1] ?? name
}

/** Format by module as recipes name them. Experts of a layer must agree, and so must projections that engines fuse. */
export function moduleFormats(
  stored: StoredQuantization,
  model: MoeModel,
): ReadonlyMap<string, ModuleFormat> {
  const found = new Map<string, ModuleFormat>()
  for (const { name, format, inputScale } of stored.modules.values()) {
    const module = moduleKey(name)
    const divisor = activationDivisor(format.format) ?? 1
    const own: ModuleFormat =
      inputScale === undefined ? format : { ...format, inputScale: { kind: 'calibrated', divisor } }
    const present = found.get(module)
    if (present?.inputScale === undefined) found.set(module, own)
    if (present === undefined || present.format === own.format) continue
    throw new AppError('DIALECT_UNSUPPORTED', {
      subject: name,
      problem: `it is ${own.format}, other experts of its layer are ${present.format}`,
      remedy: 'convert an export with one format for all experts of a layer',
    })
  }
  return new Map(
    model.modules.flatMap(({ name }) => {
      const format = found.get(name)
      return format === undefined ? [] : [[name, format] as const]
    }),
  )
}

export function kvFormat({ kv }: DeclaredQuantization, stored: StoredQuantization): KvCacheFormat {
  if (kv === 'none' || stored.kv.size > 0) return kv
  return kv === 'fp8' ? 'fp8_cast' : 'nvfp4_cast'
}

/** Quantizer names whose scales the export has; the planner leaves out the tensors of others. */
export function storedSites({ modules, kv }: StoredQuantization): ReadonlySet<string> {
  const sites = new Set<string>()
  for (const { name, inputScale } of modules.values()) {
    if (inputScale === undefined) continue
    const [, experts, projection] = EXPERT.exec(name) ?? []
    if (experts === undefined) sites.add(`${name}.input_quantizer`)
    else sites.add(`${experts}.${projection === 'down' ? 'down' : 'gate_up'}_proj_input_quantizer`)
  }
  for (const { module, letter } of kv.values()) sites.add(`${module}.${letter}_bmm_quantizer`)
  return sites
}

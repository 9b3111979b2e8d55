/** What the damages of an NVFP4 export of the sample are made of. */
import type { ExportCopy, StoredTensor } from '../../tools/export-surgery.ts'

export interface Damage {
  readonly name: string
  /** The one rule of severity `error` that must be broken. */
  readonly rule: string
  /** Needs the source to be noticed. */
  readonly needsSource?: boolean
  readonly damage: (copy: ExportCopy) => void
}

export const LAYER = 'model.language_model.layers'
export const EXPERT = `${LAYER}.1.mlp.experts.5`
export const FULL = `${LAYER}.3.self_attn`
export const NORM = `${LAYER}.2.input_layernorm.weight`
export const ROUTER = `${LAYER}.0.mlp.gate.weight`
export const MTP = 'mtp.layers.0.self_attn.q_proj.weight'
export const VISION = 'model.visual.blocks.1.attn.proj.weight'

export type Config = Record<string, unknown>
export const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
export const same = (): void => undefined

export const setFloat = (value: number) => (): number => value
export const flip =
  (at: number) =>
  (bytes: Uint8Array<ArrayBuffer>): void => {
    bytes[at] = (bytes[at] ?? 0) ^ 1
  }
export const setByte =
  (at: number, value: number) =>
  (bytes: Uint8Array<ArrayBuffer>): void => {
    bytes[at] = value
  }
export const remove = (): readonly StoredTensor[] => []
export const rename =
  (from: string, to: string) =>
  (tensor: StoredTensor): readonly StoredTensor[] => [{ ...tensor, name: tensor.name.replace(from, to) }]

/** Position of a block whose codes are not all zero. */
export function blockWithValues(copy: ExportCopy, module: string): number {
  const { bytes } = copy.tensor(`${module}.weight`)
  for (let block = 0; block * 8 < bytes.length; block += 1) {
    if (bytes.subarray(block * 8, block * 8 + 8).some((pair) => (pair & 0x77) !== 0)) return block
  }
  throw new Error('every block is zero')
}

export function setGroupSize(config: Config, size: number): void {
  if (config['group_size'] !== undefined) config['group_size'] = size
  const groups = config['config_groups'] as Record<string, Record<string, Config>> | undefined
  for (const group of Object.values(groups ?? {})) {
    for (const part of ['weights', 'input_activations']) {
      const description = group[part]
      if (description?.['group_size'] !== undefined) description['group_size'] = size
    }
  }
}

/** The same export declared as mixed precision, module by module. */
export function declareMixed(copy: ExportCopy, change: (layers: Record<string, Config>) => void): void {
  const layers: Record<string, Config> = {}
  for (const name of copy.names(/\.weight_scale$/)) {
    const module = name.replace(/\.weight_scale$/, '').replace(/\.experts\.\d+\..*$/, '.experts')
    layers[module] = { quant_algo: 'NVFP4', group_size: 16 }
  }
  change(layers)
  const declare = (config: Config): void => {
    config['quant_algo'] = 'MIXED_PRECISION'
    config['quantized_layers'] = layers
    Reflect.deleteProperty(config, 'group_size')
  }
  copy.configs(declare, declare)
}

export const swapTensors = (copy: ExportCopy, a: string, b: string): void => {
  const [left, right] = [copy.tensor(a).bytes, copy.tensor(b).bytes]
  copy.replace([a, b], (tensor) => [{ ...tensor, bytes: tensor.name === a ? right : left }])
}

/** Tensors that travel unchanged beside the text tower: the vision tower and the multi-token-prediction block, in export order. */
import type { Checkpoint, TensorSlice } from '../../checkpoint/checkpoint.ts'
import type { ExpertLayout, QuantizableModule } from '../moe-model.ts'

const VISION = /^(?:model\.)?visual\./

/** By name: `model.visual.*`, or `visual.*` of text-tower tools. */
export function isVision(name: string): boolean {
  return VISION.test(name)
}

/** By name: the multi-token-prediction block lies at the top level in every released layout. */
export function isMtp(name: string): boolean {
  return name.startsWith('mtp.')
}

/** Order of the vision tower's modules as the model class defines them; names it does not know come last. */
const VISION_SECTIONS = ['patch_embed', 'pos_embed', 'blocks', 'merger', 'deepstack_merger_list']
const VISION_PARTS = [
  'norm1',
  'norm2',
  'attn.qkv',
  'attn.proj',
  'mlp.linear_fc1',
  'mlp.linear_fc2',
  'proj',
  'norm',
  'linear_fc1',
  'linear_fc2',
]
const VISION_KINDS = ['weight', 'bias']

/** Vision tensors in state-dict order: patch embedding, positions, blocks by number, merger; weight before bias. */
export function orderVision(tensors: Iterable<TensorSlice>): readonly TensorSlice[] {
  const keyed = [...tensors].map((tensor) => ({ tensor, key: visionKey(tensor.name) }))
  keyed.sort((a, b) => {
    for (const [index, left] of a.key.entries()) {
      const difference = left - (b.key[index] ?? 0)
      if (difference !== 0) return difference
    }
    return a.tensor.name < b.tensor.name ? -1 : 1
  })
  return keyed.map(({ tensor }) => tensor)
}

function visionKey(name: string): readonly number[] {
  const path = name.replace(VISION, '')
  const match = /^([a-z_0-9]+?)(?:\.(\d+))?\.(?:(.+)\.)?([A-Za-z_]+)$/.exec(path)
  const position = (list: readonly string[], item: string | undefined): number => {
    const found = item === undefined ? -1 : list.indexOf(item)
    return found === -1 ? list.length : found
  }
  return [
    position(VISION_SECTIONS, match?.[1]),
    Number(match?.[2] ?? 0),
    position(VISION_PARTS, match?.[3]),
    position(VISION_KINDS, match?.[4]),
  ]
}

/** Linears and convolutions of the vision tower: every weight of rank 2 or more except the position table. */
export function visionModules(ordered: readonly TensorSlice[]): readonly QuantizableModule[] {
  return ordered.flatMap(({ name, shape }) => {
    if (!name.endsWith('.weight') || shape.length < 2) return []
    const kind = name.endsWith('pos_embed.weight') ? 'embedding' : shape.length > 2 ? 'conv' : 'linear'
    return [{ name: name.slice(0, -'.weight'.length), kind, layerIndex: undefined } as const]
  })
}

/** MTP tensors shard by shard, shards in order of their first MTP tensor, and within a shard in checkpoint order. */
export function orderMtp(checkpoint: Checkpoint): readonly TensorSlice[] {
  const byShard = new Map<number, TensorSlice[]>()
  for (const tensor of checkpoint.tensors.values()) {
    if (!isMtp(tensor.name)) continue
    const list = byShard.get(tensor.shardIndex)
    if (list === undefined) byShard.set(tensor.shardIndex, [tensor])
    else list.push(tensor)
  }
  return [...byShard.values()].flat()
}

/** `mtp`, `mtp.layers.0`: what the exclude list must cover. Sorted. */
export function mtpPrefixes(names: readonly string[]): readonly string[] {
  const prefixes = new Set<string>()
  for (const name of names) {
    const parts = name.split('.')
    prefixes.add(parts[0] ?? '')
    const layers = parts.indexOf('layers')
    if (layers !== -1 && /^\d+$/.test(parts[layers + 1] ?? ''))
      prefixes.add(parts.slice(0, layers + 2).join('.'))
  }
  return [...prefixes].sort()
}

/** Layout of the block's experts, by names alone, because the block is carried over and not looked into. */
export function mtpLayout(names: readonly string[]): ExpertLayout | 'none' {
  if (names.length === 0) return 'none'
  return names.some((name) => /\.experts\.\d+\./.test(name)) ? 'per_expert' : 'fused'
}

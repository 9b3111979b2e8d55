/** An export seen as the checkpoint it was made from: headers only, so that the family adapter recognises it and finds its modules. */
import type { Checkpoint, TensorSlice } from '../checkpoint/checkpoint.ts'
import { asObject, type JsonObject } from '../formats/hf-config/lossless-json.ts'
import type { StoredQuantization } from './stored-modules.ts'

const QUANTIZATION_KEYS = ['quantization_config', 'compression_config']

/** Weights stand where they stood, under their plain names, with the shape of their matrix; their bytes are not those of the view. */
export function unquantizedView(checkpoint: Checkpoint, { modules, names }: StoredQuantization): Checkpoint {
  const weights = new Map<string, TensorSlice>()
  for (const { name, rows, cols, parts } of modules.values()) {
    const stored = parts.get('weight')
    if (stored === undefined) continue
    weights.set(stored.slice.name, {
      ...stored.slice,
      name: `${name}.weight`,
      dtype: 'BF16',
      shape: [rows, cols],
    })
  }
  const tensors = new Map<string, TensorSlice>()
  for (const [name, slice] of checkpoint.tensors) {
    const weight = weights.get(name)
    if (weight !== undefined) tensors.set(weight.name, weight)
    else if (!names.has(name)) tensors.set(name, slice)
  }
  return { ...checkpoint, tensors, config: withoutQuantization(checkpoint.config) }
}

/** Some tools describe the quantization within the text tower. */
function withoutQuantization(config: JsonObject): JsonObject {
  const kept = Object.entries(config).filter(([key]) => !QUANTIZATION_KEYS.includes(key))
  return Object.fromEntries(
    kept.map(([key, value]) => {
      const nested = key === 'text_config' ? asObject(value) : undefined
      return [key, nested === undefined ? value : withoutQuantization(nested)]
    }),
  )
}

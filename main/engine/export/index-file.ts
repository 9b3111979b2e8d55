/** Text of model.safetensors.index.json as transformers writes it. Source: save_pretrained of transformers 5. */
import { compareCodePoints } from '../formats/safetensors/build-header.ts'
import { stringifyLikePython } from '../formats/hf-config/lossless-json.ts'

export interface IndexedTensor {
  readonly name: string
  readonly fileName: string
}

export interface IndexTotals {
  /** Elements of all parameters: packed weights count their containers; scales and MTP tensors do not count. */
  readonly parameterCount: number
  /** Bytes of all tensors. */
  readonly sizeBytes: number
}

/** Indent 2, keys sorted by code point, ASCII, one final newline. Cost: one sort of the names. */
export function indexText(
  tensors: readonly IndexedTensor[],
  { parameterCount, sizeBytes }: IndexTotals,
): string {
  const lines = [...tensors]
    .sort((a, b) => compareCodePoints(a.name, b.name))
    .map(({ name, fileName }) => `    ${quoted(name)}: ${quoted(fileName)}`)
  const metadata = `    "total_parameters": ${String(parameterCount)},\n    "total_size": ${String(sizeBytes)}`
  return `{\n  "metadata": {\n${metadata}\n  },\n  "weight_map": {\n${lines.join(',\n')}\n  }\n}\n`
}

function quoted(text: string): string {
  return stringifyLikePython(text, 2)
}

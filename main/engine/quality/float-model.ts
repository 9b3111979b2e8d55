/**
 * An export as a model of 32-bit floats, so that the forward pass for checkpoints runs it unchanged: every matrix is a slice that a
 * DecodingReader fills from whatever is stored. Offsets count from the start of each tensor.
 */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { ExportItem, ExpertSlices, MoeModel } from '../models/moe-model.ts'
import type { ExpectedMatrix, ExpectedModel, ExpectedUnit } from '../verify/expected-model.ts'

const ITEM_BYTES = 4

/** What the forward pass needs of a model; lists for recipes and reports are empty. */
export function floatModel({ architecture, prefix, text, units, plain }: ExpectedModel): MoeModel {
  const exportOrder: ExportItem[] = [
    ...plain.map(({ name, shape }) => plainItem(prefix, name, shape)),
    ...units.map((unit) => unitItem(prefix, unit)),
  ]
  return {
    family: 'qwen3_5_moe',
    architecture,
    prefix,
    text,
    expertLayout: 'per_expert',
    mtpLayout: 'none',
    hasVision: false,
    modules: [],
    fusionGroups: [],
    exportOrder,
    mtpPrefixes: [],
    roles: new Map(),
    problems: [],
  }
}

/** Decoder layer of a tensor or module; undefined outside of layers. */
export function layerOf(prefix: string, name: string): number | undefined {
  const start = `${prefix}.layers.`
  const number = name.startsWith(start) ? /^\d+(?=\.)/.exec(name.slice(start.length))?.[0] : undefined
  return number === undefined ? undefined : Number(number)
}

function plainItem(prefix: string, name: string, shape: readonly number[]): ExportItem {
  const role = name === `${prefix}.embed_tokens.weight` ? 'embedding' : 'norm'
  return { kind: 'tensor', name, role, source: slice(name, shape), layerIndex: layerOf(prefix, name) }
}

function unitItem(prefix: string, { name, kind, matrices }: ExpectedUnit): ExportItem {
  const layerIndex = layerOf(prefix, name)
  if (kind === 'experts' && layerIndex !== undefined) {
    return { kind, module: name, layerIndex, experts: expertSlices(matrices) }
  }
  const [matrix] = matrices
  const source = slice(`${name}.weight`, [matrix?.rows ?? 0, matrix?.cols ?? 0])
  return {
    kind: 'linear',
    module: name,
    role: layerIndex === undefined ? 'lm_head' : 'attention',
    source,
    layerIndex,
  }
}

function expertSlices(matrices: readonly ExpectedMatrix[]): readonly ExpertSlices[] {
  const at = (index: number): TensorSlice => {
    const { module, rows, cols } = matrices[index] ?? { module: '', rows: 0, cols: 0 }
    return slice(`${module}.weight`, [rows, cols])
  }
  return Array.from({ length: matrices.length / 3 }, (_, expert) => ({
    gate: at(3 * expert),
    up: at(3 * expert + 1),
    down: at(3 * expert + 2),
  }))
}

function slice(name: string, shape: readonly number[]): TensorSlice {
  const sizeBytes = ITEM_BYTES * shape.reduce((product, size) => product * size, 1)
  return { name, dtype: 'F32', shape, shardIndex: 0, offsetBytes: 0, sizeBytes }
}

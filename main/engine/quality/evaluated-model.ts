/** A model that can be run layer by layer for measuring: a checkpoint as it is, or an export as an engine would compute with it. */
import type { ExpertInputArithmetic } from '../../../shared/domain/quality-report.ts'
import type { GraphVariant } from '../calibration/graph-cache.ts'
import type { WeightReader } from '../calibration/weight-reader.ts'
import type { Checkpoint, TensorSlice } from '../checkpoint/checkpoint.ts'
import type { MoeModel } from '../models/moe-model.ts'
import { FoldMap } from '../smoothing/fold-map.ts'
import type { SmoothingVectors } from '../smoothing/smoothing.ts'
import type { Declaration } from '../verify/declaration.ts'
import type { ExpectedModel } from '../verify/expected-model.ts'
import { WindowedReader } from '../verify/windowed-reader.ts'
import { DecodingReader } from './decoding-reader.ts'
import { floatModel } from './float-model.ts'
import { layerRounding } from './layer-rounding.ts'
import { readStoredPart } from './stored-part.ts'
import { StoredScales } from './stored-scales.ts'

export interface EvaluatedModel {
  readonly model: MoeModel
  readonly reader: WeightReader
  /** To be called before a layer runs; undefined: before embedding, final norm and vocabulary projection. */
  prepare(layerIndex: number | undefined): Promise<void>
  /** f32 [H]: what the export's experts want their inputs divided by, where smoothing has folded that into the norm before them. */
  expertInputDivisors?(layerIndex: number): Float32Array | undefined
  /** Of the layer that was prepared. */
  variantOf(layerIndex: number | undefined): GraphVariant | undefined
}

/** An unquantized checkpoint. */
export function plainModel(model: MoeModel, reader: WeightReader): EvaluatedModel {
  return { model, reader, prepare: () => Promise.resolve(), variantOf: () => undefined }
}

export interface ExportSource {
  readonly expected: ExpectedModel
  readonly declaration: Declaration | undefined
  /** Where tensors lie. */
  readonly files: Pick<Checkpoint, 'folder' | 'shards'>
  /** Tensors of a layer, or outside of layers; others may be among them. */
  readonly tensorsOf: (layerIndex: number | undefined) => ReadonlyMap<string, TensorSlice>
  /** Scales of inputs and cache that are not in the files yet, by tensor name, as engines multiply. Default: none. */
  readonly knownScales?: (() => ReadonlyMap<string, number>) | undefined
  readonly expertInputs: ExpertInputArithmetic
  /** Vectors that its weights were rewritten with. Default: none. */
  readonly smoothing?: SmoothingVectors | undefined
}

/** An export, finished or as far as it is written: weights decoded, inputs and cache rounded. Holds nothing of a layer but its places. */
export class ExportedModel implements EvaluatedModel {
  readonly model: MoeModel
  readonly reader = new DecodingReader()
  private readonly source: ExportSource
  private prepared:
    { readonly layerIndex: number | undefined; readonly variant: GraphVariant | undefined } | undefined

  constructor(source: ExportSource) {
    this.source = source
    this.model = floatModel(source.expected)
  }

  /** Throws what readStoredPart and layerRounding throw. */
  async prepare(layerIndex: number | undefined): Promise<void> {
    const { expected, declaration, files, tensorsOf, knownScales, expertInputs } = this.source
    const tensors = tensorsOf(layerIndex)
    const part = readStoredPart(expected, declaration, tensors, layerIndex)
    // A new reader: a window that was read before may hold bytes from before they were written.
    this.reader.use([{ part, reader: new WindowedReader(files) }])
    const scales = new StoredScales({
      read: ({ shardIndex, offsetBytes, sizeBytes }) =>
        files.folder.readRange(files.shards[shardIndex]?.fileName ?? '', offsetBytes, sizeBytes),
      tensors,
      kv: declaration?.kv ?? 'none',
      known: knownScales?.() ?? new Map(),
    })
    const variant = await layerRounding({ model: expected, layerIndex, part, scales, expertInputs })
    this.prepared = { layerIndex, variant }
  }

  expertInputDivisors(layerIndex: number): Float32Array | undefined {
    const module = `${this.source.expected.prefix}.layers.${String(layerIndex)}.mlp.experts.0.gate_proj`
    const columns = new FoldMap(this.source.smoothing?.keys() ?? []).foldOf(module)?.columns
    return columns && this.source.smoothing?.get(columns.key)
  }

  variantOf(layerIndex: number | undefined): GraphVariant | undefined {
    if (this.prepared === undefined || this.prepared.layerIndex !== layerIndex)
      throw new Error('this layer was not prepared')
    return this.prepared.variant
  }
}

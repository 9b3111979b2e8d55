/** Graphs that bring weights and tokens to the device and put the outputs of experts back in token order. No weight is multiplied here. */
import { GraphBuilder, type Value } from '../../onnx/graph-builder.ts'
import { ONNX_TYPE } from '../../onnx/proto-writer.ts'

/** Form of one tensor of an upload. */
export interface UploadForm {
  readonly kind: 'half' | 'single'
  readonly rank: number
  /** How many matrices of experts lie side by side; undefined: it is one tensor. */
  readonly expertCount?: number | undefined
}

/**
 * Feeds `in.i`: float16 or f32 of the given ranks; with any half also `scale` f32, of which every half tensor takes the next entry, or one
 * for each of its experts. Outputs `out.i`: f32 of the same shape; matrices of experts [E, rows, cols] come out as [E, cols, rows].
 */
export function uploadGraph(forms: readonly UploadForm[]): GraphBuilder {
  const graph = new GraphBuilder('upload')
  const scaleCount = forms.reduce((sum, form) => sum + scalesOf(form), 0)
  const scale = scaleCount === 0 ? undefined : graph.input('scale', [scaleCount])
  let firstScale = 0
  for (const [index, form] of forms.entries()) {
    const { rank, expertCount } = form
    const shape = Array.from({ length: rank }, (_, axis) => `d${String(index)}_${String(axis)}`)
    const given = graph.input(`in.${String(index)}`, shape, form.kind === 'half' ? 'float16' : 'float32')
    const turned =
      expertCount === undefined
        ? given
        : graph.node('Transpose', [given], { attributes: { perm: [0, 2, 1] } })
    const count = scalesOf(form)
    graph.output(
      `out.${String(index)}`,
      scale === undefined || count === 0
        ? turned
        : graph.node('Mul', [
            graph.node('Cast', [turned], { attributes: { to: ONNX_TYPE.float32 } }),
            scalesFor(graph, scale, firstScale, form),
          ]),
    )
    firstScale += count
  }
  return graph
}

function scalesOf({ kind, expertCount = 1 }: UploadForm): number {
  return kind === 'half' ? expertCount : 0
}

function scalesFor(graph: GraphBuilder, scale: Value, first: number, { expertCount }: UploadForm): Value {
  const own = graph.node('Slice', [scale, graph.shape([first]), graph.shape([first + (expertCount ?? 1)])])
  return expertCount === undefined ? own : graph.node('Reshape', [own, graph.shape([expertCount, 1, 1])])
}

/**
 * Feeds `table.p` f32 [rows_p, H] for parts 0..partCount-1 and `index` int32 [batch, time] into them, one behind the other. Output `y` f32
 * [batch, time, H].
 */
export function embeddingGraph(hiddenSize: number, partCount: number): GraphBuilder {
  const graph = new GraphBuilder('embedding')
  const table = joinParts(graph, 'table', hiddenSize, partCount)
  const index = graph.input('index', ['batch', 'time'], 'int32')
  graph.output('y', graph.node('Gather', [table, index], { attributes: { axis: 0 } }))
  return graph
}

/** How the tokens of a run are cut so that the rows gathered for a piece stay small. */
export interface CombineShape {
  readonly partCount: number
  readonly termCount: number
  readonly pieceCount: number
  /** Tokens of the run; undefined when they fill the pieces exactly. */
  readonly tokenCount: number | undefined
}

/**
 * Feeds `x` f32 [batch, time, H]; `part.p` f32 [rows_p, H], outputs of experts; `index` int32 [pieces, terms, tokens] into the parts one
 * behind the other and `weight` f32 [pieces, terms, tokens, 1]: every feed costs about a millisecond, whatever its size. Output `y` f32
 * [batch, time, H] = x + Σ weight · part[index]. A token with fewer terms has weight 0 for the others, whatever the index.
 */
export function combineGraph(hiddenSize: number, shape: CombineShape): GraphBuilder {
  const { partCount, pieceCount, termCount, tokenCount } = shape
  const graph = new GraphBuilder('combine')
  const x = graph.input('x', ['batch', 'time', hiddenSize])
  const parts = joinParts(graph, 'part', hiddenSize, partCount)
  const indices = graph.input('index', [pieceCount, termCount, 'tokens'], 'int32')
  const weights = graph.input('weight', [pieceCount, termCount, 'tokens', 1])
  const gather = (data: Value, index: Value): Value =>
    graph.node('Gather', [data, index], { attributes: { axis: 0 } })
  const sums = Array.from({ length: pieceCount }, (_, piece) => {
    // Not Slice: on a feed it was measured to cost a millisecond.
    const of = (pieces: Value): Value => (pieceCount === 1 ? pieces : gather(pieces, graph.shape([piece])))
    const weighted = graph.node('Mul', [gather(parts, of(indices)), of(weights)])
    return graph.node('ReduceSum', [weighted, graph.shape([1])], { attributes: { keepdims: 0 } })
  })
  const [first] = sums
  const joined =
    first !== undefined && pieceCount === 1 ? first : graph.node('Concat', sums, { attributes: { axis: 1 } })
  const own =
    tokenCount === undefined
      ? joined
      : graph.node('Slice', [joined, graph.shape([0]), graph.shape([tokenCount]), graph.shape([1])])
  graph.output('y', graph.node('Add', [x, graph.node('Reshape', [own, graph.node('Shape', [x])])]))
  return graph
}

function joinParts(graph: GraphBuilder, name: string, width: number, count: number): Value {
  const parts = Array.from({ length: count }, (_, part) =>
    graph.input(`${name}.${String(part)}`, [`${name}_rows_${String(part)}`, width]),
  )
  const [first] = parts
  if (first !== undefined && count === 1) return first
  return graph.node('Concat', parts, { attributes: { axis: 0 } })
}

/** Feed `x` f32 [batch, time, H]; output `y`, the same, for reading it back. */
export function readGraph(): GraphBuilder {
  const graph = new GraphBuilder('read')
  graph.output('y', graph.input('x', ['batch', 'time', 'width']))
  return graph
}

/** Feeds `part.p` f32 of one axis for parts 0..partCount-1; output `y`, one behind the other, for reading them back at once. */
export function collectGraph(partCount: number): GraphBuilder {
  const graph = new GraphBuilder('collect')
  const parts = Array.from({ length: partCount }, (_, part) =>
    graph.input(`part.${String(part)}`, [`size_${String(part)}`]),
  )
  graph.output('y', graph.node('Concat', parts, { attributes: { axis: 0 } }))
  return graph
}

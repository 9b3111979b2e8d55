/** Graphs that bring weights and tokens to the device and put the outputs of experts back in token order. No weight is multiplied here. */
import { GraphBuilder, type Value } from '../../onnx/graph-builder.ts'
import { ONNX_TYPE } from '../../onnx/proto-writer.ts'

/** Form of one tensor of an upload. */
export interface UploadForm {
  readonly kind: 'half' | 'single'
  readonly rank: number
}

/**
 * Feeds `in.i`: float16 or f32 of the given ranks; with any half also `scale` f32 [number of tensors], of which entry i multiplies tensor i.
 * Outputs `out.i`: f32 of the same shape.
 */
export function uploadGraph(forms: readonly UploadForm[]): GraphBuilder {
  const graph = new GraphBuilder('upload')
  const scale = forms.some(({ kind }) => kind === 'half') ? graph.input('scale', [forms.length]) : undefined
  for (const [index, { kind, rank }] of forms.entries()) {
    const shape = Array.from({ length: rank }, (_, axis) => `d${String(index)}_${String(axis)}`)
    const name = `in.${String(index)}`
    if (kind === 'single' || scale === undefined) {
      graph.output(`out.${String(index)}`, graph.input(name, shape))
      continue
    }
    const wide = graph.node('Cast', [graph.input(name, shape, 'float16')], {
      attributes: { to: ONNX_TYPE.float32 },
    })
    const own = graph.node('Slice', [scale, graph.shape([index]), graph.shape([index + 1])])
    graph.output(`out.${String(index)}`, graph.node('Mul', [wide, own]))
  }
  return graph
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

/**
 * Feeds `x` f32 [batch, time, H]; `part.p` f32 [rows_p, H], outputs of experts; for terms 0..termCount-1 `index.t` int32 [tokens] into the
 * parts one behind the other and `weight.t` f32 [tokens, 1]. Output `y` f32 [batch, time, H] = x + Σ weight.t · part[index.t], added up in the
 * order of the terms. A token with fewer terms has weight 0 at the end, whatever the index.
 */
export function combineGraph(hiddenSize: number, partCount: number, termCount: number): GraphBuilder {
  const graph = new GraphBuilder('combine')
  const x = graph.input('x', ['batch', 'time', hiddenSize])
  const parts = joinParts(graph, 'part', hiddenSize, partCount)
  let sum = graph.node('Reshape', [x, graph.shape([-1, hiddenSize])])
  for (let term = 0; term < termCount; term += 1) {
    const index = graph.input(`index.${String(term)}`, ['tokens'], 'int32')
    const weight = graph.input(`weight.${String(term)}`, ['tokens', 1])
    const rows = graph.node('Gather', [parts, index], { attributes: { axis: 0 } })
    sum = graph.node('Add', [sum, graph.node('Mul', [rows, weight])])
  }
  graph.output('y', graph.node('Reshape', [sum, graph.node('Shape', [x])]))
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

/** Brings converted weights to the device in few runs: each crosses the bus once and is widened and scaled back there. */
import type { DeviceTensor, GraphFeed } from '../../onnx/graph-runtime.ts'
import { deviceOutput, type DeviceGraphs } from './device-graphs.ts'
import { uploadGraph } from './transfer-graphs.ts'
import type { Upload } from './uploads.ts'

/** Tensors of one run; a power of two, so that groups of any size need few graphs. */
const MAX_TENSORS = 32

/** f32 device tensors of the uploads at the indices `wanted` (default: all), in that order; the caller disposes of them. */
export async function uploadWeights(
  graphs: DeviceGraphs,
  uploads: readonly Upload[],
  wanted: readonly number[] = uploads.map((_, index) => index),
): Promise<readonly DeviceTensor[]> {
  const chosen = wanted.flatMap((index) => uploads[index] ?? [])
  const tensors: DeviceTensor[] = []
  try {
    for (let first = 0; first < chosen.length;) {
      const count = Math.min(MAX_TENSORS, 2 ** Math.floor(Math.log2(chosen.length - first)))
      tensors.push(...(await uploadGroup(graphs, chosen.slice(first, first + count))))
      first += count
    }
    return tensors
  } catch (error: unknown) {
    for (const tensor of tensors) tensor.dispose()
    throw error
  }
}

async function uploadGroup(graphs: DeviceGraphs, group: readonly Upload[]): Promise<readonly DeviceTensor[]> {
  const forms = group.map(({ kind, shape }) => ({ kind, rank: shape.length }))
  const feeds: Record<string, GraphFeed> = {}
  for (const [index, upload] of group.entries()) {
    const { shape } = upload
    feeds[`in.${String(index)}`] =
      upload.kind === 'half'
        ? { dtype: 'float16', shape, data: upload.data }
        : { dtype: 'float32', shape, data: upload.data }
  }
  if (group.some(({ kind }) => kind === 'half')) {
    const scale = Float32Array.from(group, (upload) => (upload.kind === 'half' ? 2 ** -upload.exponent : 1))
    feeds['scale'] = { dtype: 'float32', shape: [group.length], data: scale }
  }
  const outputs = group.map((_, index) => `out.${String(index)}`)
  const key = `upload ${forms.map(({ kind, rank }) => `${kind}${String(rank)}`).join(' ')}`
  const results = await graphs.run(
    { key, build: () => uploadGraph(forms), deviceOutputs: outputs, feeds },
    () => undefined,
  )
  return outputs.map((name) => deviceOutput(results, name))
}

/** Brings converted weights to the device in few runs: each crosses the bus once and is widened and scaled back there. */
import type { DeviceTensor, GraphFeed } from '../../onnx/graph-runtime.ts'
import { deviceOutput, type DeviceGraphs } from './device-graphs.ts'
import { uploadGraph, type UploadForm } from './transfer-graphs.ts'
import type { Upload } from './uploads.ts'

/** Tensors of one run; a power of two, so that groups of any size need few graphs. */
const MAX_TENSORS = 32

/** f32 device tensors of the uploads, in their order; the caller disposes of them. */
export async function uploadWeights(
  graphs: DeviceGraphs,
  uploads: readonly Upload[],
): Promise<readonly DeviceTensor[]> {
  const tensors: DeviceTensor[] = []
  try {
    for (let first = 0; first < uploads.length;) {
      const count = Math.min(MAX_TENSORS, 2 ** Math.floor(Math.log2(uploads.length - first)))
      tensors.push(...(await uploadGroup(graphs, uploads.slice(first, first + count))))
      first += count
    }
    return tensors
  } catch (error: unknown) {
    for (const tensor of tensors) tensor.dispose()
    throw error
  }
}

async function uploadGroup(graphs: DeviceGraphs, group: readonly Upload[]): Promise<readonly DeviceTensor[]> {
  const forms = group.map(({ kind, shape, holdsExperts }): UploadForm => ({
    kind,
    rank: shape.length,
    expertCount: holdsExperts === true ? shape[0] : undefined,
  }))
  const feeds: Record<string, GraphFeed> = {}
  for (const [index, upload] of group.entries()) {
    const { shape } = upload
    feeds[`in.${String(index)}`] =
      upload.kind === 'half'
        ? { dtype: 'float16', shape, data: upload.data }
        : { dtype: 'float32', shape, data: upload.data }
  }
  const exponents = group.flatMap((upload) => (upload.kind === 'half' ? upload.exponents : []))
  if (exponents.length > 0) {
    const data = Float32Array.from(exponents, (exponent) => 2 ** -exponent)
    feeds['scale'] = { dtype: 'float32', shape: [data.length], data }
  }
  const outputs = group.map((_, index) => `out.${String(index)}`)
  const key = `upload ${forms.map(formName).join(' ')}`
  const results = await graphs.run(
    { key, build: () => uploadGraph(forms), deviceOutputs: outputs, feeds },
    () => undefined,
  )
  return outputs.map((name) => deviceOutput(results, name))
}

function formName({ kind, rank, expertCount }: UploadForm): string {
  return `${kind}${String(rank)}${expertCount === undefined ? '' : `x${String(expertCount)}`}`
}

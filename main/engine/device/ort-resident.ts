/**
 * Sessions whose results stay on the device. A tensor must be disposed of while its session lives (the reverse ends the process), and
 * reading a device tensor from here aborts it; both are made impossible by what this file hands out. Source: docs/adr, CALIB-0002.
 */
import { Tensor, type InferenceSession } from 'onnxruntime-node'
import type {
  DeviceTensor,
  GraphFeed,
  GraphTensor,
  ResidentResults,
  ResidentSession,
} from '../onnx/graph-runtime.ts'

/** Runs work in the queue of the runtime. */
export type Enqueue = <T>(work: () => Promise<T>) => Promise<T>

/** Native tensors by the handle given out; a handle that is not in here is of no use. */
const natives = new WeakMap<DeviceTensor, Tensor>()

/** Session options for outputs that stay: only the WebGPU provider of the Node binding can leave them on the device. */
export function keepOnDevice(
  options: InferenceSession.SessionOptions,
  outputs: readonly string[],
): InferenceSession.SessionOptions {
  const preferredOutputLocation = Object.fromEntries(outputs.map((name) => [name, 'gpu-buffer'] as const))
  return { ...options, preferredOutputLocation }
}

export class OrtResidentSession implements ResidentSession {
  private readonly session: InferenceSession
  private readonly deviceOutputs: ReadonlySet<string>
  private readonly enqueue: Enqueue
  private readonly onRelease: () => Promise<void>
  private readonly live = new Set<Tensor>()

  constructor(
    session: InferenceSession,
    deviceOutputs: readonly string[],
    enqueue: Enqueue,
    onRelease: () => Promise<void>,
  ) {
    this.session = session
    this.deviceOutputs = new Set(deviceOutputs)
    this.enqueue = enqueue
    this.onRelease = onRelease
  }

  run(feeds: Readonly<Record<string, GraphFeed>>): Promise<ResidentResults> {
    return this.enqueue(async () => {
      const converted: Record<string, Tensor> = {}
      for (const [name, feed] of Object.entries(feeds)) converted[name] = toOrt(name, feed)
      const results = await this.session.run(converted)
      const host = new Map<string, GraphTensor>()
      const device = new Map<string, DeviceTensor>()
      for (const [name, tensor] of Object.entries(results)) {
        if (this.deviceOutputs.has(name)) device.set(name, this.keep(tensor))
        else host.set(name, fromOrt(name, tensor))
      }
      return { host, device }
    })
  }

  async release(): Promise<void> {
    this.disposeAll()
    await this.onRelease()
  }

  /** For a runtime that closes. */
  disposeAll(): void {
    for (const tensor of this.live) tensor.dispose()
    this.live.clear()
  }

  private keep(tensor: Tensor): DeviceTensor {
    this.live.add(tensor)
    const kept: DeviceTensor = {
      location: 'device',
      shape: tensor.dims,
      dispose: () => {
        if (this.live.delete(tensor)) tensor.dispose()
      },
    }
    natives.set(kept, tensor)
    return kept
  }
}

function toOrt(name: string, feed: GraphFeed): Tensor {
  if ('location' in feed) {
    const native = natives.get(feed)
    if (native === undefined) throw new Error(`input ${name} is not a tensor of this device`)
    return native
  }
  if (feed.dtype === 'float16') return halfTensor(feed.shape, feed.data)
  return new Tensor(feed.dtype, feed.data, feed.shape)
}

/** The class refuses 16-bit patterns where the engine has a Float16Array; the native side takes any object of this form. */
function halfTensor(dims: readonly number[], data: Uint16Array): Tensor {
  const plain: unknown = { type: 'float16', dims, location: 'cpu', data }
  return plain as Tensor
}

/** A host result. Outputs are always copied into buffers of this thread, never into shared ones. */
export function fromOrt(name: string, { data, dims: shape }: Tensor): GraphTensor {
  if (data instanceof Float32Array)
    return { dtype: 'float32', shape, data: data as Float32Array<ArrayBuffer> }
  if (data instanceof Int32Array) return { dtype: 'int32', shape, data: data as Int32Array<ArrayBuffer> }
  throw new Error(`output ${name} has an element type that our graphs do not use`)
}

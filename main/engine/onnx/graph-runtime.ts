/**
 * What the forward pass needs from whoever runs its graphs. The implementation on onnxruntime-node is engine/device/ort-runtime.ts; tests
 * may use their own. Float32 and int32 only: float16 inputs do not work on Node 24, int64 arithmetic leaves the GPU.
 */

export type DeviceKind = 'cpu' | 'webgpu' | 'cuda'

export type GraphTensor =
  | { readonly dtype: 'float32'; readonly shape: readonly number[]; readonly data: Float32Array<ArrayBuffer> }
  | { readonly dtype: 'int32'; readonly shape: readonly number[]; readonly data: Int32Array<ArrayBuffer> }

/** One loaded graph. Not reentrant: a run is awaited before the next one starts. */
export interface GraphSession {
  /** Feeds must not change before the promise settles. Throws DEVICE_OUT_OF_MEMORY, DEVICE_LOST. */
  run(feeds: Readonly<Record<string, GraphTensor>>): Promise<ReadonlyMap<string, GraphTensor>>
  release(): Promise<void>
}

export interface GraphRuntime {
  readonly device: DeviceKind
  /** `model` is a serialised ModelProto; `label` is for messages. Throws DEVICE_UNAVAILABLE. */
  load(model: Uint8Array, label: string): Promise<GraphSession>
}

/** A float32 tensor over `data`, which is not copied. */
export function f32Tensor(shape: readonly number[], data: Float32Array<ArrayBuffer>): GraphTensor {
  return { dtype: 'float32', shape, data }
}

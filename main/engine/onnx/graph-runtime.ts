/**
 * What the forward pass needs from whoever runs its graphs. The implementation on onnxruntime-node is engine/device/ort-runtime.ts; tests
 * may use their own. Results are float32 or int32 (int64 arithmetic leaves the GPU); weights may also be fed as float16 patterns, and
 * between runs a result can stay on the device.
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

/** Feed of binary16 patterns: half the bytes to move. Graphs widen it at once. */
export interface HalfTensor {
  readonly dtype: 'float16'
  readonly shape: readonly number[]
  readonly data: Uint16Array<ArrayBuffer>
}

/** A float32 result that stayed on the device. Must be disposed of before its session is released; a second time does nothing. */
export interface DeviceTensor {
  readonly location: 'device'
  readonly shape: readonly number[]
  dispose(): void
}

export type GraphFeed = GraphTensor | HalfTensor | DeviceTensor

export interface ResidentResults {
  readonly host: ReadonlyMap<string, GraphTensor>
  readonly device: ReadonlyMap<string, DeviceTensor>
}

/** As GraphSession; some outputs stay on the device. */
export interface ResidentSession {
  run(feeds: Readonly<Record<string, GraphFeed>>): Promise<ResidentResults>
  /** Disposes of what this session's runs left on the device, then releases. */
  release(): Promise<void>
}

/** A device that keeps tensors between runs. */
export interface ResidentDevice {
  /** Whether float16 feeds can be widened there. Runs a small graph once. Never throws. */
  acceptsHalf(): Promise<boolean>
  /** `deviceOutputs` names the outputs that stay on the device. Throws DEVICE_UNAVAILABLE. */
  load(model: Uint8Array, label: string, deviceOutputs: readonly string[]): Promise<ResidentSession>
}

export interface GraphRuntime {
  readonly device: DeviceKind
  /** undefined where results always come back. */
  readonly resident?: ResidentDevice | undefined
  /** `model` is a serialised ModelProto; `label` is for messages. Throws DEVICE_UNAVAILABLE. */
  load(model: Uint8Array, label: string): Promise<GraphSession>
}

/** A float32 tensor over `data`, which is not copied. */
export function f32Tensor(shape: readonly number[], data: Float32Array<ArrayBuffer>): GraphTensor {
  return { dtype: 'float32', shape, data }
}

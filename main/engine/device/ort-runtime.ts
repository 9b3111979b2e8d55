/**
 * The only importer of onnxruntime-node. Runs of one process must never overlap on a GPU, and a thread must never end while a run is in
 * progress (both abort the process): every call goes through one queue per runtime, and `close` waits for it. Source: docs/adr, PROC-0001.
 */
import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node'
import { AppError } from '../../../shared/errors/app-error.ts'
import { GraphBuilder } from '../onnx/graph-builder.ts'
import {
  f32Tensor,
  type DeviceKind,
  type GraphRuntime,
  type GraphSession,
  type GraphTensor,
} from '../onnx/graph-runtime.ts'
import { mayHaveVulkanDriver } from './vulkan-driver.ts'

export interface OrtRuntimeOptions {
  readonly device: DeviceKind
  /** CPU threads of one run; 0 = as many as cores. */
  readonly threads: number
}

export class OrtRuntime implements GraphRuntime {
  readonly device: DeviceKind
  private readonly options: InferenceSession.SessionOptions
  private readonly open = new Set<InferenceSession>()
  private tail: Promise<unknown> = Promise.resolve()
  private isClosed = false

  /** Throws DEVICE_UNAVAILABLE when the platform has no such provider or no driver; other faults of a driver show at the first load. */
  constructor({ device, threads }: OrtRuntimeOptions) {
    this.device = device
    // Read once, at the first session of the process; its own messages on standard error would break --json.
    env.logLevel = 'fatal'
    if (!listSupportedBackends().some(({ name }) => name === device)) {
      throw unavailable(device, 'start', 'this platform has no such provider')
    }
    if (device === 'webgpu' && !mayHaveVulkanDriver()) {
      throw unavailable(device, 'start', 'no Vulkan driver is installed')
    }
    this.options = {
      executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
      ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
      interOpNumThreads: 1,
      logSeverityLevel: 4,
      // Spinning threads would take the cores from the export workers between runs.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    }
  }

  async load(model: Uint8Array, label: string): Promise<GraphSession> {
    const session = await this.queued(label, () => InferenceSession.create(model, this.options))
    this.open.add(session)
    return {
      run: (feeds) => this.queued(label, () => runSession(session, feeds)),
      release: () => this.release(session),
    }
  }

  /** Loads and runs a graph of one node, so that a missing driver or library shows now. Throws DEVICE_UNAVAILABLE. */
  async check(): Promise<void> {
    const graph = new GraphBuilder('check')
    graph.output('y', graph.node('Neg', [graph.input('x', [1])]))
    const session = await this.load(graph.build(), 'check')
    await session.run({ x: f32Tensor([1], Float32Array.of(1)) })
    await session.release()
  }

  /** Releases every session once the current run has ended. Later calls throw INVARIANT. */
  async close(): Promise<void> {
    this.isClosed = true
    await this.tail.catch(() => undefined)
    for (const session of this.open) await session.release()
    this.open.clear()
  }

  private async release(session: InferenceSession): Promise<void> {
    if (!this.open.delete(session)) return
    await this.queued('release', () => session.release())
  }

  private queued<T>(label: string, work: () => Promise<T>): Promise<T> {
    if (this.isClosed) return Promise.reject(AppError.from(new Error('the device is closed')))
    const result = this.tail.then(work).catch((error: unknown) => {
      throw deviceError(this.device, label, error)
    })
    this.tail = result.catch(() => undefined)
    return result
  }
}

async function runSession(
  session: InferenceSession,
  feeds: Readonly<Record<string, GraphTensor>>,
): Promise<ReadonlyMap<string, GraphTensor>> {
  const converted: Record<string, Tensor> = {}
  for (const [name, { dtype, data, shape }] of Object.entries(feeds)) {
    converted[name] = new Tensor(dtype, data, shape)
  }
  const results = await session.run(converted)
  return new Map(Object.entries(results).map(([name, tensor]) => [name, fromOrt(name, tensor)]))
}

function fromOrt(name: string, { data, dims: shape }: Tensor): GraphTensor {
  // Outputs are always copied into buffers of this thread, never into shared ones.
  if (data instanceof Float32Array)
    return { dtype: 'float32', shape, data: data as Float32Array<ArrayBuffer> }
  if (data instanceof Int32Array) return { dtype: 'int32', shape, data: data as Int32Array<ArrayBuffer> }
  throw new Error(`output ${name} has an element type that our graphs do not use`)
}

function deviceError(device: DeviceKind, label: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  const message = shortMessage(error instanceof Error ? error.message : String(error))
  const subject = `${device}: ${label}`
  if (/out of memory|failed to allocate|bad_alloc|Not enough memory/i.test(message)) {
    return new AppError('DEVICE_OUT_OF_MEMORY', {
      subject,
      problem: message,
      remedy: 'use a shorter sequence length, or --device cpu',
      cause: error,
    })
  }
  if (/device.*lost|lost.*device/i.test(message)) {
    return new AppError('DEVICE_LOST', {
      subject,
      problem: message,
      remedy: 'start the run again, or use --device cpu',
      cause: error,
    })
  }
  if (device !== 'cpu' && /adapter|shared library|provider|not available|No supported/i.test(message)) {
    return unavailable(device, label, message, error)
  }
  return new AppError('INVARIANT', {
    subject,
    problem: `ONNX Runtime: ${message}`,
    remedy: 'report this with the job log',
    cause: error,
  })
}

function unavailable(device: DeviceKind, label: string, problem: string, cause?: unknown): AppError {
  return new AppError('DEVICE_UNAVAILABLE', {
    subject: `${device}: ${label}`,
    problem,
    remedy: 'use --device cpu, or install a driver for the GPU',
    cause,
  })
}

/** Native messages begin with source paths and signatures of ONNX Runtime's build; what happened is at their end. */
function shortMessage(message: string): string {
  const afterCheck = message.split(/ was false\. /).at(-1) ?? message
  return afterCheck.replaceAll(/\s+/g, ' ').trim().slice(0, 400)
}

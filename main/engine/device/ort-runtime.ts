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
  type ResidentDevice,
  type ResidentSession,
} from '../onnx/graph-runtime.ts'
import { ONNX_TYPE } from '../onnx/proto-writer.ts'
import { fromOrt, keepOnDevice, OrtResidentSession } from './ort-resident.ts'
import { mayHaveVulkanDriver } from './vulkan-driver.ts'

export interface OrtRuntimeOptions {
  readonly device: DeviceKind
  /** CPU threads of one run; 0 = as many as cores. */
  readonly threads: number
  /** Hears the size of what every run brings back to this side. */
  readonly onResults?: ((sizeBytes: number) => void) | undefined
}

export class OrtRuntime implements GraphRuntime {
  readonly device: DeviceKind
  /** Also on the CPU, where nothing is gained by it. The binding cannot leave a result of the CUDA provider on the device. */
  readonly resident: ResidentDevice | undefined
  private readonly options: InferenceSession.SessionOptions
  private readonly open = new Set<InferenceSession>()
  private readonly residents = new Map<InferenceSession, OrtResidentSession>()
  private halfProbe: Promise<boolean> | undefined
  private tail: Promise<unknown> = Promise.resolve()
  private isClosed = false
  private readonly onResults: (sizeBytes: number) => void

  /** Throws DEVICE_UNAVAILABLE when the platform has no such provider or no driver; other faults of a driver show at the first load. */
  constructor({ device, threads, onResults = () => undefined }: OrtRuntimeOptions) {
    this.device = device
    this.onResults = onResults
    // Read once, at the first session of the process; its own messages on standard error would break --json.
    env.logLevel = 'fatal'
    if (!listSupportedBackends().some(({ name }) => name === device)) {
      throw unavailable(device, 'start', 'this platform has no such provider')
    }
    if (device === 'webgpu' && !mayHaveVulkanDriver()) {
      throw unavailable(device, 'start', 'no Vulkan driver is installed')
    }
    this.resident =
      device === 'cuda'
        ? undefined
        : {
            acceptsHalf: () => (this.halfProbe ??= this.probeHalf()),
            load: (model, label, deviceOutputs) => this.loadResident(model, label, deviceOutputs),
          }
    this.options = {
      executionProviders: providersOf(device),
      ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
      interOpNumThreads: 1,
      // Every session has an arena of its own that keeps what its largest run needed: on the CPU the sum over all graphs, for the whole run.
      ...(device === 'cpu' ? { enableCpuMemArena: false } : {}),
      logSeverityLevel: 4,
      // Spinning threads would take the cores from the export workers between runs.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    }
  }

  async load(model: Uint8Array, label: string): Promise<GraphSession> {
    const session = await this.queued(label, () => InferenceSession.create(model, this.options))
    this.open.add(session)
    return {
      run: async (feeds) => {
        const results = await this.queued(label, () => runSession(session, feeds))
        let sizeBytes = 0
        for (const { data } of results.values()) sizeBytes += data.byteLength
        this.onResults(sizeBytes)
        return results
      },
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

  private async loadResident(
    model: Uint8Array,
    label: string,
    deviceOutputs: readonly string[],
  ): Promise<ResidentSession> {
    const options = this.device === 'cpu' ? this.options : keepOnDevice(this.options, deviceOutputs)
    const session = await this.queued(label, () => InferenceSession.create(model, options))
    this.open.add(session)
    const resident = new OrtResidentSession(
      session,
      deviceOutputs,
      (work) => this.queued(label, work),
      () => this.release(session),
    )
    this.residents.set(session, resident)
    return resident
  }

  /** Widening needs 16-bit floats in shaders, which not every driver has. */
  private async probeHalf(): Promise<boolean> {
    const graph = new GraphBuilder('half')
    const half = graph.input('half', ['count'], 'float16')
    graph.output('wide', graph.node('Cast', [half], { attributes: { to: ONNX_TYPE.float32 } }))
    try {
      const session = await this.loadResident(graph.build(), 'probe of 16-bit floats', [])
      try {
        const data = Uint16Array.of(0x3c00, 0xc100)
        const { host } = await session.run({ half: { dtype: 'float16', shape: [2], data } })
        const wide = host.get('wide')?.data
        return wide?.[0] === 1 && wide[1] === -2.5
      } finally {
        await session.release()
      }
    } catch {
      return false
    }
  }

  /** Releases every session once the current run has ended. Later calls throw INVARIANT. */
  async close(): Promise<void> {
    this.isClosed = true
    await this.tail.catch(() => undefined)
    for (const resident of this.residents.values()) resident.disposeAll()
    this.residents.clear()
    for (const session of this.open) await session.release()
    this.open.clear()
  }

  private async release(session: InferenceSession): Promise<void> {
    if (!this.open.delete(session)) return
    this.residents.delete(session)
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

/** Buffers by size class: measured to upload fastest, and the runs of a layer want the same sizes again and again. */
function providersOf(device: DeviceKind): readonly InferenceSession.ExecutionProviderConfig[] {
  if (device === 'cpu') return ['cpu']
  if (device === 'cuda') return ['cuda', 'cpu']
  const caching = { storageBufferCacheMode: 'bucket', defaultBufferCacheMode: 'bucket' } as const
  return [{ name: 'webgpu', ...caching }, 'cpu']
}

/** Of the allocators of ONNX Runtime and of Dawn; a buffer over the limits of a device is too large for it as well. */
const OUT_OF_MEMORY =
  /out.of.memory|failed to (allocate|create.*buffer)|bad_alloc|Not enough memory|max(imum)? (buffer|storage buffer binding) size|Too many storage buffers/i

function deviceError(device: DeviceKind, label: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  const message = shortMessage(error instanceof Error ? error.message : String(error))
  const subject = `${device}: ${label}`
  if (OUT_OF_MEMORY.test(message)) {
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

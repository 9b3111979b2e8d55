/**
 * Host side of the device worker. The thread is never ended while a graph may be running, which would abort the process: `close` asks it to
 * stop, waits until it is idle, and only then terminates it.
 */
import { dirname, join } from 'node:path'
import { Worker, type Transferable } from 'node:worker_threads'
import type { LayerQuality } from '../../../shared/domain/quality-report.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { KnownScales } from '../../engine/quality/sweep-quality.ts'
import type { CalibrationData, CalibrationRequest } from '../../engine/calibration/data/calibration-input.ts'
import type { FileSeal } from '../../engine/io/node/boundary-file.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { DeviceInfo } from '../../engine/device/probe-devices.ts'
import type { DeviceKind } from '../../engine/onnx/graph-runtime.ts'
import type {
  CalibrationCosts,
  Continued,
  DeviceCallName,
  DeviceCalls,
  DeviceReply,
  DeviceWorkerData,
  EvaluateWindows,
  Evaluation,
  ScoutSamples,
  StartCalibration,
} from '../../workers/device-protocol.ts'
import { leaseGpu } from './gpu-lease.ts'

export type OnProgress = (done: number, total: number) => void

interface Pending {
  readonly resolve: (value: never) => void
  readonly reject: (error: AppError) => void
  readonly onProgress: OnProgress | undefined
}

export interface DeviceClientOptions {
  /** Built worker script. */
  readonly workerFile: string
  readonly device: DeviceKind
  /** CPU threads of a run; 0 = one per core. Default: 0. */
  readonly threads?: number
  /** What the user should know: a smaller run, another device. Default: dropped. */
  readonly onNotice?: ((message: string) => void) | undefined
}

export class DeviceClient {
  readonly device: DeviceKind
  private readonly worker: Worker
  private readonly stop: Int32Array
  private readonly pending = new Map<number, Pending>()
  private readonly releaseLease: () => void
  private readonly onNotice: (message: string) => void
  private seq = 0
  private failure: AppError | undefined
  private closing: Promise<void> | undefined

  private constructor(
    { workerFile, device, onNotice = () => undefined }: DeviceClientOptions,
    releaseLease: () => void,
  ) {
    const stopFlag = new SharedArrayBuffer(4)
    const loaderFile = join(dirname(workerFile), 'weight-loader.worker.js')
    const data: DeviceWorkerData = { stopFlag, loaderFile }
    this.device = device
    this.releaseLease = releaseLease
    this.onNotice = onNotice
    this.stop = new Int32Array(stopFlag)
    this.worker = new Worker(workerFile, { workerData: data, execArgv: [] })
    this.worker.on('message', (reply: DeviceReply) => {
      this.receive(reply)
    })
    this.worker.on('error', (error: Error) => {
      this.fail(error.message)
    })
    this.worker.on('exit', (exitCode) => {
      this.fail(`exit code ${String(exitCode)}`)
    })
  }

  /** Starts the thread and opens the device; for a GPU, waits until no other thread of this process uses one. */
  static async start(options: DeviceClientOptions): Promise<DeviceClient> {
    const { device, threads = 0 } = options
    const releaseLease = device === 'cpu' ? () => undefined : await leaseGpu()
    const client = new DeviceClient(options, releaseLease)
    try {
      await client.call('open', { device, threads })
      return client
    } catch (error: unknown) {
      await client.close()
      throw AppError.from(error)
    }
  }

  /** Runs a small graph on every device, in a thread of its own that ends afterwards. */
  static async listDevices(workerFile: string): Promise<readonly DeviceInfo[]> {
    const client = new DeviceClient({ workerFile, device: 'webgpu' }, await leaseGpu())
    try {
      return await client.call('list_devices', undefined)
    } finally {
      await client.close()
    }
  }

  /** Computes one expert of the source and compares it with plain arithmetic. Throws DEVICE_RESULT_WRONG. */
  smoke(input: DeviceCalls['smoke']['input']): Promise<DeviceCalls['smoke']['output']> {
    return this.call('smoke', input)
  }

  /** Tokenizes and cuts calibration data away from the host's event loop. */
  loadData(request: CalibrationRequest): Promise<CalibrationData> {
    return this.call('load_data', request)
  }

  /** Which of many samples reach every expert; progress in layers. */
  scout(input: ScoutSamples, onProgress?: OnProgress): Promise<DeviceCalls['scout']['output']> {
    return this.call('scout', input, onProgress)
  }

  /** Allocates hidden states and embeds the tokens, or goes on from a state that was kept. */
  startCalibration(input: StartCalibration): Promise<DeviceCalls['start']['output']> {
    return this.call('start', input, undefined, input.unitPort === undefined ? [] : [input.unitPort])
  }

  /** Statistics of one layer; layers in order. Progress is in token passes, see LayerControl. */
  runLayer(layerIndex: number, onProgress?: OnProgress): Promise<CalibrationStats> {
    return this.call('run_layer', { layerIndex }, onProgress)
  }

  /** Error of the quantized model's layer, which is written but for the scales that are known; after runLayer. */
  measureLayer(layerIndex: number, known: KnownScales, onProgress?: OnProgress): Promise<LayerQuality> {
    return this.call('measure_layer', { layerIndex, known }, onProgress)
  }

  /** Both models' predictions; after finishCalibration. */
  measureText(input: DeviceCalls['measure_text']['input']): Promise<DeviceCalls['measure_text']['output']> {
    return this.call('measure_text', input)
  }

  /** Writes the state between two layers; `stats` is transferred. */
  keepState(path: string, boundary: Continued): Promise<FileSeal> {
    return this.call('keep_state', { path, ...boundary }, undefined, [boundary.stats.buffer])
  }

  /** Statistics beyond the layers: input of lm_head, number of tokens; and the source bytes read by the worker. */
  finishCalibration(): Promise<{
    readonly stats: CalibrationStats
    readonly bytesRead: number
    readonly costs: CalibrationCosts
    readonly spilledBytes: number
  }> {
    return this.call('finish', undefined)
  }

  /** Perplexity of every group of windows, and the comparison with another model; progress in layers. */
  evaluate(input: EvaluateWindows, onProgress?: OnProgress): Promise<Evaluation> {
    return this.call('evaluate', input, onProgress)
  }

  /** Ends the current request with CANCELLED at the next opportunity; every later request as well. */
  cancel(): void {
    Atomics.store(this.stop, 0, 1)
  }

  /** Stops, waits until the thread is idle, ends it. Idempotent; never rejects. */
  close(): Promise<void> {
    return (this.closing ??= this.end())
  }

  private async end(): Promise<void> {
    this.cancel()
    // Answered after whatever runs now; a thread that has died rejects, and then there is nothing left to wait for.
    await this.call('close', undefined).catch(() => undefined)
    await this.worker.terminate()
    this.releaseLease()
  }

  private call<Name extends DeviceCallName>(
    name: Name,
    input: DeviceCalls[Name]['input'],
    onProgress?: OnProgress,
    transfer: readonly Transferable[] = [],
  ): Promise<DeviceCalls[Name]['output']> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) {
        reject(this.failure)
        return
      }
      this.seq += 1
      this.pending.set(this.seq, { resolve, reject, onProgress })
      this.worker.postMessage({ seq: this.seq, name, input }, [...transfer])
    })
  }

  private receive(reply: DeviceReply): void {
    const pending = this.pending.get(reply.seq)
    if (pending === undefined) return
    if (reply.kind === 'notice') {
      this.onNotice(reply.message)
      return
    }
    if (reply.kind === 'progress') {
      pending.onProgress?.(reply.done, reply.total)
      return
    }
    this.pending.delete(reply.seq)
    // The protocol pairs every request name with its output; `seq` is what ties the two together here.
    if (reply.kind === 'done') pending.resolve(reply.value as never)
    else pending.reject(AppError.revive(reply.error))
  }

  private fail(reason: string): void {
    this.failure ??= new AppError('WORKER_CRASHED', {
      subject: `device worker (${this.device})`,
      problem: `it ended: ${reason}`,
      remedy: 'start the run again, or use --device cpu',
    })
    for (const { reject } of this.pending.values()) reject(this.failure)
    this.pending.clear()
  }
}

/**
 * Host side of unit-protocol.ts: lends shared memory to the device worker within a budget and exports what comes back filled.
 * A buffer is lent again when its tasks are done, so a slow disk throttles the reader instead of filling memory.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { UnitReply, UnitRequest } from '../../workers/unit-protocol.ts'
import type { ExportSweep, MemoryRange } from '../jobs/export-sweep.ts'

/** Shared memory lent at most; one unit is always allowed, however large. Far below V8's limits for all ArrayBuffers of a process. */
const LENT_LIMIT_BYTES = 1024 * 1024 * 1024

export class UnitExchange {
  /** For the device worker; transfer it. */
  readonly workerPort: MessagePort
  private readonly port: MessagePort
  private readonly sweep: ExportSweep
  private readonly free: SharedArrayBuffer[] = []
  private readonly waiting: number[] = []
  private readonly exports = new Set<Promise<void>>()
  private lentBytes = 0
  /** Of which every unit has come. */
  private lastLayer = -1
  private awaitedLayer: { readonly layerIndex: number; readonly resolve: () => void } | undefined
  private failure: AppError | undefined
  private readonly onFailure: (error: AppError) => void

  constructor(sweep: ExportSweep, onFailure: (error: AppError) => void) {
    const { port1, port2 } = new MessageChannel()
    this.port = port1
    this.workerPort = port2
    this.sweep = sweep
    this.onFailure = onFailure
    // A device worker that has died says nothing more.
    this.port.on('close', () => {
      this.noteLayer(Infinity)
    })
    this.port.on('message', (message: UnitRequest) => {
      if (message.kind === 'memory_wanted') {
        this.waiting.push(message.sizeBytes)
        this.lend()
      } else if (message.kind === 'unit_filled') this.export(message)
      else this.noteLayer(message.layerIndex)
    })
  }

  /** Resolves when everything handed in so far is exported. Throws the first failure. */
  async settle(): Promise<void> {
    while (this.exports.size > 0) await Promise.all(this.exports)
    if (this.failure !== undefined) throw this.failure
  }

  /** Resolves when every unit of a layer that the device worker has run is exported. Throws the first failure. */
  async settleLayer(layerIndex: number): Promise<void> {
    // The answer to the layer and its units come through different ports, in any order.
    if (layerIndex > this.lastLayer) {
      await new Promise<void>((resolve) => {
        this.awaitedLayer = { layerIndex, resolve }
      })
    }
    await this.settle()
  }

  close(): void {
    this.port.close()
  }

  private noteLayer(layerIndex: number): void {
    this.lastLayer = layerIndex
    if (this.awaitedLayer !== undefined && layerIndex >= this.awaitedLayer.layerIndex)
      this.awaitedLayer.resolve()
  }

  private export(message: Extract<UnitRequest, { kind: 'unit_filled' }>): void {
    const ranges: MemoryRange[] = message.ranges.map((range) => ({ ...range, buffer: message.buffer }))
    const done = this.sweep
      .runFromMemory(message.layerIndex, ranges)
      .then(() => {
        this.lentBytes -= message.buffer.byteLength
        this.free.push(message.buffer)
        this.lend()
      })
      .catch((error: unknown) => {
        this.fail(AppError.from(error))
      })
      .finally(() => this.exports.delete(done))
    this.exports.add(done)
  }

  private lend(): void {
    const sizeBytes = this.waiting[0]
    if (sizeBytes === undefined) return
    if (this.failure !== undefined) {
      this.waiting.length = 0
      this.send({ kind: 'stopped' })
      return
    }
    if (this.lentBytes > 0 && this.lentBytes + sizeBytes > LENT_LIMIT_BYTES) return
    this.waiting.shift()
    const buffer = this.takeFree(sizeBytes)
    this.lentBytes += buffer.byteLength
    this.send({ kind: 'memory', buffer })
    this.lend()
  }

  /** The smallest free buffer that fits without wasting half of it; others are dropped, so that layers of another size do not add up. */
  private takeFree(sizeBytes: number): SharedArrayBuffer {
    const fitting = this.free
      .filter((buffer) => buffer.byteLength >= sizeBytes && buffer.byteLength <= 2 * sizeBytes)
      .sort((a, b) => a.byteLength - b.byteLength)[0]
    if (fitting === undefined) {
      this.free.length = 0
      return new SharedArrayBuffer(Math.max(8, Math.ceil(sizeBytes / 8) * 8))
    }
    this.free.splice(this.free.indexOf(fitting), 1)
    return fitting
  }

  private fail(error: AppError): void {
    if (this.failure !== undefined) return
    this.failure = error
    this.onFailure(error)
    this.lend()
  }

  private send(reply: UnitReply): void {
    this.port.postMessage(reply)
  }
}

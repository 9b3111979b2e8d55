/**
 * Uploads that are read and converted by helper threads while the device worker is blocked in a run. Source bytes go through memory lent by
 * the host and are handed on for export, as in shared-weight-reader.ts; without an export the memory is this thread's own.
 */
import { Worker, type MessagePort } from 'node:worker_threads'
import { AppError } from '../../shared/errors/app-error.ts'
import type { Upload, UploadSource, UploadUnit } from '../engine/calibration/resident/uploads.ts'
import { copiedPlaces, type CopiedPlace, type CopiedTensor } from './copied-tensors.ts'
import { layOutUnit, type UnitLayout } from './unit-layout.ts'
import type { UnitReply, UnitRequest } from './unit-protocol.ts'
import type { LoaderData, LoaderReply, LoaderRequest } from './weight-loader-protocol.ts'

/** Source bytes of units that are prepared or in use; one unit is always allowed. The converted weights come on top, once. */
const AHEAD_BYTES = 448 * 1024 * 1024

export interface PrefetchOptions {
  readonly loaderFile: string
  readonly descriptors: readonly number[]
  /** Tensors outside the layers that are read from the export instead; they do not count as read. */
  readonly copies: readonly CopiedTensor[]
  readonly acceptsHalf: boolean
  readonly threads: number
  /** Where memory comes from and goes to; undefined: own memory. */
  readonly unitPort: MessagePort | undefined
}

export interface LoadTimes {
  /** Sums over the helper threads. */
  readonly readMs: number
  readonly convertMs: number
  /** What the device worker waited for units. */
  readonly waitMs: number
}

interface Work {
  readonly upload: UploadUnit
  readonly layout: UnitLayout
  readonly loader: Worker
  readonly ready: Promise<readonly Upload[]>
  readonly resolve: (uploads: readonly Upload[]) => void
  readonly reject: (error: AppError) => void
  buffer: SharedArrayBuffer | undefined
  uploads: readonly Upload[] | undefined
}

export class PrefetchingUploads implements UploadSource {
  bytesRead = 0
  private times = { readMs: 0, convertMs: 0, waitMs: 0 }
  private readonly options: PrefetchOptions
  private readonly loaders: readonly Worker[]
  private readonly announced: UploadUnit[] = []
  private readonly started = new Map<UploadUnit, Work>()
  private readonly bySeq = new Map<number, Work>()
  /** Works that wait for memory of the host, in the order in which they asked. */
  private readonly wanting: Work[] = []
  private readonly own: SharedArrayBuffer[] = []
  private aheadBytes = 0
  private seq = 0
  private isClosed = false
  private readonly onUnitReply = (reply: UnitReply): void => {
    if (reply.kind === 'stopped') {
      this.failAll(stopped())
      return
    }
    const work = this.wanting.shift()
    if (work !== undefined) this.load(work, reply.buffer)
  }

  constructor(options: PrefetchOptions) {
    this.options = options
    const { acceptsHalf, loaderFile, threads, unitPort } = options
    const workerData: LoaderData = { acceptsHalf }
    this.loaders = Array.from({ length: threads }, () => {
      const loader = new Worker(loaderFile, { workerData, execArgv: [] })
      loader.on('message', (reply: LoaderReply) => {
        this.receive(reply)
      })
      loader.on('error', (error: Error) => {
        this.failAll(crashed(error.message))
      })
      return loader
    })
    unitPort?.on('message', this.onUnitReply)
  }

  get loadTimes(): LoadTimes {
    return this.times
  }

  announce(units: readonly UploadUnit[]): void {
    this.announced.push(...units)
    this.pump()
  }

  async take(unit: UploadUnit): Promise<readonly Upload[]> {
    const startedMs = performance.now()
    const position = this.announced.indexOf(unit)
    if (position >= 0) this.announced.splice(position, 1)
    const work = this.started.get(unit) ?? this.start(unit)
    const uploads = await work.ready
    this.times.waitMs += performance.now() - startedMs
    return uploads
  }

  release(unit: UploadUnit): void {
    const work = this.started.get(unit)
    if (work === undefined) return
    this.started.delete(unit)
    this.aheadBytes -= work.layout.sizeBytes
    if (work.buffer !== undefined) this.giveBack(work, work.buffer)
    const buffers = (work.uploads ?? []).map(({ data }) => data.buffer)
    post(work.loader, { kind: 'recycle', buffers }, buffers)
    this.pump()
  }

  forget(): void {
    this.announced.length = 0
    for (const [unit, { ready }] of this.started) {
      const giveBack = (): void => {
        this.release(unit)
      }
      ready.then(giveBack, giveBack)
    }
  }

  /** Ends the helpers after what they are reading, gives every unit back and leaves the port to somebody else. */
  async leave(): Promise<void> {
    this.announced.length = 0
    await Promise.allSettled([...this.started.values()].map(({ ready }) => ready))
    for (const unit of [...this.started.keys()]) this.release(unit)
    this.options.unitPort?.off('message', this.onUnitReply)
    this.isClosed = true
    await Promise.all(this.loaders.map((loader) => loader.terminate()))
  }

  /** Also ends a `take` that waits: the host lends no memory any more. */
  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.options.unitPort?.close()
    this.failAll(stopped())
    for (const loader of this.loaders) void loader.terminate()
  }

  private pump(): void {
    while (!this.isClosed) {
      const next = this.announced[0]
      if (next === undefined) return
      const { sizeBytes } = layOutUnit(next.unit.slices)
      if (this.started.size > 0 && this.aheadBytes + sizeBytes > AHEAD_BYTES) return
      this.announced.shift()
      this.start(next)
    }
  }

  private start(upload: UploadUnit): Work {
    const layout = layOutUnit(upload.unit.slices)
    let resolve: Work['resolve'] = () => undefined
    let reject: Work['reject'] = () => undefined
    const ready = new Promise<readonly Upload[]>((onResolve, onReject) => {
      resolve = onResolve
      reject = onReject
    })
    // Whoever takes the unit sees the failure; until then nobody may be waiting.
    ready.catch(() => undefined)
    const work: Work = {
      upload,
      layout,
      loader: this.idlest(),
      ready,
      resolve,
      reject,
      buffer: undefined,
      uploads: undefined,
    }
    this.started.set(upload, work)
    this.aheadBytes += layout.sizeBytes
    if (this.isClosed) reject(stopped())
    else if (this.options.unitPort === undefined || upload.unit.layerIndex === undefined) {
      this.load(work, this.takeOwn(layout.sizeBytes))
    } else {
      this.wanting.push(work)
      this.sendToHost({ kind: 'memory_wanted', sizeBytes: layout.sizeBytes })
    }
    return work
  }

  private load(work: Work, buffer: SharedArrayBuffer): void {
    work.buffer = buffer
    this.seq += 1
    this.bySeq.set(this.seq, work)
    const { upload, layout, loader } = work
    const places = this.copiedPlaces(upload)
    const ranges = layout.ranges.map((range, index) => ({
      ...range,
      ...(places?.[index] ?? { descriptor: this.options.descriptors[range.shardIndex] ?? -1 }),
    }))
    post(loader, { kind: 'load', seq: this.seq, upload, ranges, buffer }, [])
  }

  private receive(reply: LoaderReply): void {
    const work = this.bySeq.get(reply.seq)
    this.bySeq.delete(reply.seq)
    if (work === undefined) return
    if (reply.kind === 'failed') {
      work.reject(AppError.revive(reply.error))
      return
    }
    this.times.readMs += reply.readMs
    this.times.convertMs += reply.convertMs
    if (this.copiedPlaces(work.upload) === undefined)
      this.bytesRead += work.layout.ranges.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    work.uploads = reply.uploads
    work.resolve(reply.uploads)
  }

  private copiedPlaces({ unit }: UploadUnit): readonly CopiedPlace[] | undefined {
    return copiedPlaces(this.options.copies, unit)
  }

  private idlest(): Worker {
    const busy = new Map<Worker, number>()
    for (const { loader, uploads } of this.started.values()) {
      if (uploads === undefined) busy.set(loader, (busy.get(loader) ?? 0) + 1)
    }
    const sorted = [...this.loaders].sort((a, b) => (busy.get(a) ?? 0) - (busy.get(b) ?? 0))
    const [first] = sorted
    if (first === undefined) throw stopped()
    return first
  }

  private giveBack(work: Work, buffer: SharedArrayBuffer): void {
    const { layerIndex } = work.upload.unit
    if (this.options.unitPort === undefined || layerIndex === undefined) this.own.push(buffer)
    else this.sendToHost({ kind: 'unit_filled', layerIndex, buffer, ranges: work.layout.ranges })
  }

  /** A free buffer that fits without wasting half of it; others are dropped, so that layers of another size do not add up. */
  private takeOwn(sizeBytes: number): SharedArrayBuffer {
    const found = this.own.findIndex(
      ({ byteLength }) => byteLength >= sizeBytes && byteLength <= 2 * sizeBytes + 4096,
    )
    if (found >= 0) return this.own.splice(found, 1)[0] ?? new SharedArrayBuffer(sizeBytes)
    if (this.own.length > 4) this.own.length = 0
    return new SharedArrayBuffer(Math.max(8, sizeBytes))
  }

  private sendToHost(message: UnitRequest): void {
    this.options.unitPort?.postMessage(message)
  }

  private failAll(error: AppError): void {
    this.announced.length = 0
    this.wanting.length = 0
    this.bySeq.clear()
    for (const work of this.started.values()) work.reject(error)
  }
}

function post(loader: Worker, request: LoaderRequest, transfer: readonly ArrayBuffer[]): void {
  loader.postMessage(request, [...transfer])
}

function stopped(): AppError {
  return new AppError('CANCELLED', {
    subject: 'calibration',
    problem: 'the export stopped',
    remedy: 'start the run again',
  })
}

function crashed(reason: string): AppError {
  return new AppError('WORKER_CRASHED', {
    subject: 'weight loader',
    problem: `it ended: ${reason}`,
    remedy: 'start the run again, or use --device cpu',
  })
}

/** Where the weights of a calibration come from: for a GPU prepared ahead by helper threads, for the CPU as they are. Counts what is read. */
import { availableParallelism } from 'node:os'
import type { MessagePort } from 'node:worker_threads'
import type { UploadSource } from '../engine/calibration/resident/uploads.ts'
import type { WeightReader } from '../engine/calibration/weight-reader.ts'
import { DescriptorReader } from '../engine/io/node/descriptor-reader.ts'
import type { GraphRuntime } from '../engine/onnx/graph-runtime.ts'
import { PrefetchingUploads, type LoadTimes } from './prefetching-uploads.ts'
import { SharedWeightReader } from './shared-weight-reader.ts'

type CountingReader = WeightReader & { readonly bytesRead: number; close?: () => void }

/** On a slow core one converts 0.5 GB/s, and a GPU takes more than 1; the rest of the cores belongs to the export. */
const MAX_HELPERS = 4

export class CalibrationSources {
  readonly reader: CountingReader
  readonly uploads: (UploadSource & PrefetchingUploads) | undefined
  private readonly descriptors: readonly number[]
  private readonly unitPort: MessagePort | undefined
  private plain: CountingReader | undefined

  private constructor(
    descriptors: readonly number[],
    unitPort: MessagePort | undefined,
    uploads: PrefetchingUploads | undefined,
  ) {
    this.descriptors = descriptors
    this.unitPort = unitPort
    this.uploads = uploads
    this.reader = uploads === undefined ? this.makeReader() : new DescriptorReader(descriptors)
  }

  static async create(
    { device, resident }: GraphRuntime,
    {
      descriptors,
      unitPort,
    }: { readonly descriptors: readonly number[]; readonly unitPort?: MessagePort | undefined },
    loaderFile: string,
  ): Promise<CalibrationSources> {
    if (device === 'cpu' || resident === undefined) {
      return new CalibrationSources(descriptors, unitPort, undefined)
    }
    const acceptsHalf = await resident.acceptsHalf()
    const threads = Math.max(1, Math.min(MAX_HELPERS, Math.floor(availableParallelism() / 4)))
    const uploads = new PrefetchingUploads({ loaderFile, descriptors, acceptsHalf, threads, unitPort })
    return new CalibrationSources(descriptors, unitPort, uploads)
  }

  get bytesRead(): number {
    return this.reader.bytesRead + (this.uploads?.bytesRead ?? 0) + (this.plain?.bytesRead ?? 0)
  }

  get loadTimes(): LoadTimes {
    return this.uploads?.loadTimes ?? { readMs: 0, convertMs: 0, waitMs: 0 }
  }

  /** A reader for every unit, instead of `uploads`. */
  async plainReader(): Promise<WeightReader> {
    if (this.uploads === undefined) return this.reader
    await this.uploads.leave()
    return (this.plain ??= this.makeReader())
  }

  /** Also ends a read that waits for memory of the host. */
  close(): void {
    this.uploads?.close()
    this.reader.close?.()
    this.plain?.close?.()
  }

  private makeReader(): CountingReader {
    return this.unitPort === undefined
      ? new DescriptorReader(this.descriptors)
      : new SharedWeightReader(this.unitPort, this.descriptors)
  }
}

/** Where the weights of a calibration come from: for a GPU prepared ahead by helper threads, for the CPU as they are. Counts what is read. */
import { availableParallelism } from 'node:os'
import type { MessagePort } from 'node:worker_threads'
import type { UploadSource } from '../engine/calibration/resident/uploads.ts'
import type { WeightReader } from '../engine/calibration/weight-reader.ts'
import { DescriptorReader } from '../engine/io/node/descriptor-reader.ts'
import type { GraphRuntime } from '../engine/onnx/graph-runtime.ts'
import { CopiedTensorReader, type CopiedTensor } from './copied-tensors.ts'
import { PrefetchingUploads, type LoadTimes } from './prefetching-uploads.ts'
import type { UnitRequest } from './unit-protocol.ts'
import { SharedWeightReader } from './shared-weight-reader.ts'

type CountingReader = WeightReader & { readonly bytesRead: number; close?: () => void }

export interface SourceOptions {
  readonly descriptors: readonly number[]
  readonly unitPort?: MessagePort | undefined
  /** Tensors outside the layers that the export has already. Default: none. */
  readonly copies?: readonly CopiedTensor[] | undefined
}

/** On a slow core one converts 0.5 GB/s, and a GPU takes more than 1; the rest of the cores belongs to the export. */
const MAX_HELPERS = 4

export class CalibrationSources {
  readonly reader: WeightReader
  readonly uploads: (UploadSource & PrefetchingUploads) | undefined
  private readonly options: SourceOptions
  private readonly counted: CountingReader[] = []
  private plain: WeightReader | undefined

  private constructor(options: SourceOptions, uploads: PrefetchingUploads | undefined) {
    this.options = options
    this.uploads = uploads
    this.reader =
      uploads === undefined ? this.makeReader() : this.count(new DescriptorReader(options.descriptors))
  }

  static async create(
    { device, resident }: GraphRuntime,
    options: SourceOptions,
    loaderFile: string,
  ): Promise<CalibrationSources> {
    if (device === 'cpu' || resident === undefined) return new CalibrationSources(options, undefined)
    const { descriptors, unitPort, copies = [] } = options
    const acceptsHalf = await resident.acceptsHalf()
    const threads = Math.max(1, Math.min(MAX_HELPERS, Math.floor(availableParallelism() / 4)))
    const uploads = new PrefetchingUploads({
      loaderFile,
      descriptors,
      copies,
      acceptsHalf,
      threads,
      unitPort,
    })
    return new CalibrationSources(options, uploads)
  }

  get bytesRead(): number {
    return this.counted.reduce((sum, { bytesRead }) => sum + bytesRead, this.uploads?.bytesRead ?? 0)
  }

  get loadTimes(): LoadTimes {
    return this.uploads?.loadTimes ?? { readMs: 0, convertMs: 0, waitMs: 0 }
  }

  /** Tells the host that it has every unit of a layer. */
  markLayer(layerIndex: number): void {
    const message: UnitRequest = { kind: 'layer_read', layerIndex }
    this.options.unitPort?.postMessage(message)
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
    for (const reader of this.counted) reader.close?.()
  }

  private makeReader(): WeightReader {
    const { descriptors, unitPort } = this.options
    return this.count(
      unitPort === undefined
        ? new DescriptorReader(descriptors)
        : new SharedWeightReader(unitPort, descriptors),
    )
  }

  private count(reader: CountingReader): WeightReader {
    this.counted.push(reader)
    const { copies = [] } = this.options
    return copies.length === 0 ? reader : new CopiedTensorReader(reader, copies)
  }
}

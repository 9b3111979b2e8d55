/**
 * Weight reader of the device worker during a run: reads a unit into memory lent by the host and, once the forward pass is done with it,
 * hands the memory on for export. So every byte of a layer is read from disk once. Units outside the layers stay private.
 */
import type { MessagePort } from 'node:worker_threads'
import { AppError } from '../../shared/errors/app-error.ts'
import { layOutUnit } from './unit-layout.ts'
import type { FilledRange, UnitReply, UnitRequest } from './unit-protocol.ts'
import type { WeightReader, WeightUnit } from '../engine/calibration/weight-reader.ts'
import type { TensorSlice } from '../engine/checkpoint/checkpoint.ts'
import { readFully } from '../engine/io/node/read-fully.ts'

interface Filled {
  readonly layerIndex: number
  readonly buffer: SharedArrayBuffer
  readonly ranges: readonly FilledRange[]
}

export class SharedWeightReader implements WeightReader {
  bytesRead = 0
  private isClosed = false
  private readonly port: MessagePort
  private readonly descriptors: readonly number[]
  private readonly filled = new Map<WeightUnit, Filled>()
  private readonly waiting: {
    resolve: (buffer: SharedArrayBuffer) => void
    reject: (error: AppError) => void
  }[] = []

  /** `descriptors`: open source files by shard index. */
  constructor(port: MessagePort, descriptors: readonly number[]) {
    this.port = port
    this.descriptors = descriptors
    port.on('message', (reply: UnitReply) => {
      const next = this.waiting.shift()
      if (reply.kind === 'memory') next?.resolve(reply.buffer)
      else next?.reject(stopped())
    })
  }

  async read(unit: WeightUnit): Promise<readonly Uint8Array[]> {
    const { ranges, sizeBytes } = layOutUnit(unit.slices)
    const { layerIndex } = unit
    const buffer =
      layerIndex === undefined ? new SharedArrayBuffer(Math.max(8, sizeBytes)) : await this.borrow(sizeBytes)
    const views = ranges.map((range) => new Uint8Array(buffer, range.bufferOffsetBytes, range.sizeBytes))
    for (const [index, view] of views.entries()) this.fill(view, unit.slices[index])
    if (layerIndex !== undefined) this.filled.set(unit, { layerIndex, buffer, ranges })
    return views
  }

  release(unit: WeightUnit): void {
    const filled = this.filled.get(unit)
    if (filled === undefined) return
    this.filled.delete(unit)
    this.send({ kind: 'unit_filled', ...filled })
  }

  /** Also ends a read that waits for memory: the host lends none any more. */
  close(): void {
    this.isClosed = true
    this.port.close()
    for (const { reject } of this.waiting.splice(0)) reject(stopped())
  }

  private borrow(sizeBytes: number): Promise<SharedArrayBuffer> {
    if (this.isClosed) return Promise.reject(stopped())
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject })
      this.send({ kind: 'memory_wanted', sizeBytes })
    })
  }

  private fill(view: Uint8Array, slice: TensorSlice | undefined): void {
    if (slice === undefined) return
    readFully(this.descriptors[slice.shardIndex] ?? -1, view, slice.offsetBytes, slice.name)
    this.bytesRead += view.length
  }

  private send(message: UnitRequest): void {
    this.port.postMessage(message)
  }
}

function stopped(): AppError {
  return new AppError('CANCELLED', {
    subject: 'calibration',
    problem: 'the export stopped',
    remedy: 'start the run again',
  })
}

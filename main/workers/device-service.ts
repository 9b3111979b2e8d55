/** What the device worker does, request by request. Holds the one runtime and the one calibration of this thread. */
import { AppError, invariant } from '../../shared/errors/app-error.ts'
import { Calibrator } from '../engine/calibration/calibrator.ts'
import { loadCalibrationData } from '../engine/calibration/data/load-calibration-data.ts'
import { evaluatePerplexity } from '../engine/calibration/evaluate-perplexity.ts'
import type { WeightReader } from '../engine/calibration/weight-reader.ts'
import { OrtRuntime } from '../engine/device/ort-runtime.ts'
import { listDevices } from '../engine/device/probe-devices.ts'
import { DescriptorReader } from '../engine/io/node/descriptor-reader.ts'
import { SharedWeightReader } from './shared-weight-reader.ts'
import type { DeviceCallName, DeviceCalls, DeviceRequest } from './device-protocol.ts'

type Reader = WeightReader & { readonly bytesRead: number; close?: () => void }
type Output = DeviceCalls[DeviceCallName]['output']

export interface ServiceControl {
  readonly isCancelled: () => boolean
  readonly onProgress: (done: number, total: number) => void
}

export class DeviceService {
  private runtime: OrtRuntime | undefined
  private calibration: { readonly calibrator: Calibrator; readonly reader: Reader } | undefined

  /** Requests must not overlap. */
  async handle(request: DeviceRequest, control: ServiceControl): Promise<Output> {
    if (request.name !== 'close' && control.isCancelled()) throw stopped()
    switch (request.name) {
      case 'open':
        await this.runtime?.close()
        this.runtime = new OrtRuntime(request.input)
        await this.runtime.check()
        return undefined
      case 'list_devices':
        return listDevices()
      case 'load_data':
        return loadCalibrationData(request.input)
      case 'start':
        return this.start(request.input)
      case 'run_layer':
        return this.current().calibrator.runLayer(request.input.layerIndex, control)
      case 'finish':
        return this.finish(control)
      case 'evaluate':
        return this.evaluate(request.input, control)
      case 'close':
        await this.close()
        return undefined
    }
  }

  /** Ends a read that waits for memory of the host, so that the current request can end. */
  interrupt(): void {
    this.calibration?.reader.close?.()
  }

  private async start(input: DeviceCalls['start']['input']): Promise<DeviceCalls['start']['output']> {
    await this.endCalibration()
    const { model, descriptors, batches, unitPort } = input
    const reader: Reader =
      unitPort === undefined
        ? new DescriptorReader(descriptors)
        : new SharedWeightReader(unitPort, descriptors)
    const calibrator = await Calibrator.create({ model, runtime: this.device(), reader, batches })
    this.calibration = { calibrator, reader }
    await calibrator.embed()
    return { tokenCount: calibrator.tokenCount }
  }

  private async finish(control: ServiceControl): Promise<DeviceCalls['finish']['output']> {
    const { calibrator, reader } = this.current()
    const stats = await calibrator.finish(control)
    const { bytesRead } = reader
    await this.endCalibration()
    return { stats, bytesRead }
  }

  private evaluate(
    { model, descriptors, windows }: DeviceCalls['evaluate']['input'],
    { isCancelled, onProgress }: ServiceControl,
  ): Promise<DeviceCalls['evaluate']['output']> {
    const reader = new DescriptorReader(descriptors)
    const runtime = this.device()
    return evaluatePerplexity({ model, runtime, reader }, windows, { isCancelled, onLayer: onProgress })
  }

  private async close(): Promise<void> {
    await this.endCalibration()
    await this.runtime?.close()
    this.runtime = undefined
  }

  private async endCalibration(): Promise<void> {
    const ending = this.calibration
    this.calibration = undefined
    await ending?.calibrator.release()
    ending?.reader.close?.()
  }

  private device(): OrtRuntime {
    invariant(this.runtime !== undefined, 'the device worker was not opened')
    return this.runtime
  }

  private current(): { readonly calibrator: Calibrator; readonly reader: Reader } {
    invariant(this.calibration !== undefined, 'no calibration was started')
    return this.calibration
  }
}

function stopped(): AppError {
  return new AppError('CANCELLED', {
    subject: 'calibration',
    problem: 'it was cancelled',
    remedy: 'start the run again',
  })
}

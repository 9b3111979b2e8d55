/** What the device worker does, request by request. Holds the one runtime and the one calibration of this thread. */
import { AppError, invariant } from '../../shared/errors/app-error.ts'
import type { BoundaryKey } from '../engine/calibration/boundary.ts'
import { Calibrator } from '../engine/calibration/calibrator.ts'
import { chooseSamples } from '../engine/calibration/coverage/choose-samples.ts'
import { scoutRouting } from '../engine/calibration/coverage/scout-routing.ts'
import { loadCalibrationData } from '../engine/calibration/data/load-calibration-data.ts'
import type { CalibrationStats } from '../engine/calibration/stats.ts'
import type { SweepQuality } from '../engine/quality/sweep-quality.ts'
import type { ForwardOptions } from '../engine/calibration/layer-pass.ts'
import { smokeExpert } from '../engine/calibration/smoke-expert.ts'
import { OrtRuntime } from '../engine/device/ort-runtime.ts'
import { listDevices } from '../engine/device/probe-devices.ts'
import { loadBoundary, saveBoundary, type FileSeal } from '../engine/io/node/boundary-file.ts'
import { DescriptorReader } from '../engine/io/node/descriptor-reader.ts'
import { collectResults } from '../engine/io/node/release-garbage.ts'
import { CalibrationSources } from './calibration-sources.ts'
import { QualitySession } from './quality-session.ts'
import type { Continued, DeviceCallName, DeviceCalls, DeviceRequest, KeptState } from './device-protocol.ts'
import { evaluate, secondPlaces } from './evaluate.ts'
import { ScratchOwner } from './scratch-owner.ts'

type Output = DeviceCalls[DeviceCallName]['output']

export interface ServiceControl {
  readonly isCancelled: () => boolean
  readonly onProgress: (done: number, total: number) => void
  readonly onNotice: (message: string) => void
}

interface Calibration {
  readonly calibrator: Calibrator
  readonly sources: CalibrationSources
  readonly key: BoundaryKey
}

export class DeviceService {
  private readonly loaderFile: string
  private runtime: OrtRuntime | undefined
  /** Takes over when a GPU gives up, and rounds for one. */
  private spare: OrtRuntime | undefined
  private calibration: Calibration | undefined
  private readonly onResults = collectResults()
  /** Beside the calibration, and for the comparison of text a little longer. */
  private quality: QualitySession | undefined
  private readonly scratch = new ScratchOwner()
  /** Of a second model that runs beside the first. */
  private readonly secondScratch = new ScratchOwner()
  /** Of the calibration that was finished last. Its failure belongs to the request that follows. */
  private ending: Promise<void> = Promise.resolve()
  private onNotice: ServiceControl['onNotice'] = () => undefined

  constructor(loaderFile: string) {
    this.loaderFile = loaderFile
  }

  /** Requests must not overlap. */
  async handle(request: DeviceRequest, control: ServiceControl): Promise<Output> {
    const { ending } = this
    this.ending = Promise.resolve()
    await ending
    if (request.name !== 'close' && control.isCancelled()) throw stopped()
    this.onNotice = control.onNotice
    switch (request.name) {
      case 'open':
        return this.open(request.input)
      case 'list_devices':
        return listDevices()
      case 'smoke':
        return this.smoke(request.input)
      case 'load_data':
        return loadCalibrationData(request.input)
      case 'scout':
        return this.scout(request.input, control)
      case 'start':
        return this.start(request.input)
      case 'run_layer':
        return this.runLayer(request.input.layerIndex, control)
      case 'measure_layer':
        return this.beside().measureLayer(request.input, this.current().calibrator, control)
      case 'measure_text':
        return this.measureText(request.input, control)
      case 'keep_state':
        return this.keep(request.input)
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
    this.calibration?.sources.close()
  }

  private async open(input: DeviceCalls['open']['input']): Promise<undefined> {
    await this.runtime?.close()
    this.runtime = new OrtRuntime({ ...input, onResults: this.onResults })
    await this.runtime.check()
    // Asked once and kept, so that no calibration has to wait for the answer.
    await this.runtime.resident?.acceptsHalf()
    return undefined
  }

  private async smoke({
    expert,
    descriptors,
  }: DeviceCalls['smoke']['input']): Promise<DeviceCalls['smoke']['output']> {
    const reader = new DescriptorReader(descriptors)
    return { difference: await smokeExpert(expert, this.device(), reader) }
  }

  private async start(input: DeviceCalls['start']['input']): Promise<DeviceCalls['start']['output']> {
    await this.endQuality()
    await this.endCalibration()
    const { model, batches, shouldObserveChannels = false, percentile, gpuBudgetBytes } = input
    const runtime = this.device()
    const sources = await CalibrationSources.create(runtime, input, this.loaderFile)
    try {
      const calibrator = await Calibrator.create({
        model,
        runtime,
        batches,
        shouldObserveChannels,
        percentile,
        gpuBudgetBytes,
        stateMemory: this.scratch.stateMemory(input.states),
        ...this.weightsFrom(sources),
      })
      const { tokenCount } = calibrator
      if (input.quality !== undefined)
        this.quality = await QualitySession.open(input.quality, runtime, (message) => {
          this.onNotice(message)
        })
      const qualityTokens = this.quality?.quality.tokenCount ?? 0
      const { hiddenSize } = model.text
      this.calibration = {
        calibrator,
        sources,
        key: { inputs: input.inputs ?? '', tokenCount, hiddenSize, qualityTokens },
      }
      const { continued, unusable } = await this.restore(input.kept ?? [])
      if (continued === undefined) {
        await calibrator.embed()
        await this.quality?.quality.start(calibrator)
      }
      return { tokenCount, continued, unusable }
    } catch (error: unknown) {
      if (this.calibration === undefined) {
        sources.close()
        this.scratch.close()
      }
      throw error
    }
  }

  private async runLayer(layerIndex: number, control: ServiceControl): Promise<CalibrationStats> {
    const { calibrator, sources } = this.current()
    const stats = await calibrator.runLayer(layerIndex, { ...control, watch: this.quality?.quality.watch })
    sources.markLayer(layerIndex)
    return stats
  }

  private async measureText(
    input: DeviceCalls['measure_text']['input'],
    control: ServiceControl,
  ): Promise<DeviceCalls['measure_text']['output']> {
    const measured = await this.beside().measureText(input, control)
    await this.endQuality()
    return measured
  }

  /** Reads the weights for itself: nothing of this pass is exported. */
  private async scout(
    { model, descriptors, batch, initialSamples, minTokens, states }: DeviceCalls['scout']['input'],
    { isCancelled, onProgress }: ServiceControl,
  ): Promise<DeviceCalls['scout']['output']> {
    const runtime = this.device()
    const sources = await CalibrationSources.create(runtime, { descriptors }, this.loaderFile)
    try {
      const stateMemory = this.scratch.stateMemory(states)
      const options = { model, runtime, stateMemory, ...this.weightsFrom(sources) }
      const counts = await scoutRouting(options, batch, { isCancelled, onLayer: onProgress })
      return { ...chooseSamples(counts, initialSamples, minTokens), bytesRead: sources.bytesRead }
    } finally {
      sources.close()
      this.scratch.close()
      await this.closeSpare()
    }
  }

  private weightsFrom(sources: CalibrationSources): Pick<ForwardOptions, 'reader' | 'uploads' | 'fallback'> {
    return {
      reader: sources.reader,
      uploads: sources.uploads,
      fallback: {
        toCpu: async () => {
          return { runtime: this.makeSpare(), reader: await sources.plainReader() }
        },
        plainReader: () => sources.plainReader(),
        onNotice: (message) => {
          this.onNotice(message)
        },
      },
    }
  }

  /** Goes on from the first state that can be used. */
  private async restore(
    kept: readonly KeptState[],
  ): Promise<{ readonly continued: Continued | undefined; readonly unusable: readonly string[] }> {
    const { key } = this.current()
    const unusable: string[] = []
    for (const state of kept) {
      try {
        return { continued: await loadBoundary(state.path, state, key, this.passes()), unusable }
      } catch (error: unknown) {
        const { code, problem } = AppError.from(error)
        if (code !== 'JOURNAL_INVALID' && code !== 'READ_FAILED') throw error
        unusable.push(`${state.path}: ${problem}`)
      }
    }
    return { continued: undefined, unusable }
  }

  private keep({ path, ...boundary }: DeviceCalls['keep_state']['input']): Promise<FileSeal> {
    return saveBoundary(path, this.current().key, boundary, this.passes())
  }

  private passes(): { original: Calibrator; quantized: SweepQuality | undefined } {
    return { original: this.current().calibrator, quantized: this.quality?.quality }
  }

  private async finish(control: ServiceControl): Promise<DeviceCalls['finish']['output']> {
    const { calibrator, sources } = this.current()
    await this.quality?.quality.keepOriginal(calibrator)
    const stats = await calibrator.finishStats(control)
    const { bytesRead, loadTimes } = sources
    const costs = { runs: calibrator.costs, ...loadTimes }
    const spilledBytes = this.scratch.spilledBytes + (this.quality?.spilledBytes ?? 0)
    // Nobody waits for a GPU to free its graphs; the next request does.
    this.ending = this.endCalibration()
    this.ending.catch(() => undefined)
    return { stats, bytesRead, costs, spilledBytes }
  }

  private async evaluate(
    input: DeviceCalls['evaluate']['input'],
    { isCancelled, onProgress }: ServiceControl,
  ): Promise<DeviceCalls['evaluate']['output']> {
    const memories = {
      first: this.scratch.stateMemory(input.states),
      second: this.secondScratch.stateMemory(secondPlaces(input)),
    }
    try {
      const control = { isCancelled, onLayer: onProgress }
      return await evaluate(input, this.device(), memories, control, (runtime) =>
        runtime.device === 'cpu' ? runtime : this.makeSpare(),
      )
    } finally {
      await this.closeSpare()
      this.scratch.close()
      this.secondScratch.close()
    }
  }

  private async close(): Promise<void> {
    await this.endQuality()
    await this.endCalibration()
    await this.runtime?.close()
    this.runtime = undefined
  }

  private async endQuality(): Promise<void> {
    const ending = this.quality
    this.quality = undefined
    await ending?.close()
  }

  private async endCalibration(): Promise<void> {
    const ending = this.calibration
    this.calibration = undefined
    await ending?.calibrator.release()
    ending?.sources.close()
    this.scratch.close()
    await this.closeSpare()
  }

  private makeSpare(): OrtRuntime {
    this.spare = new OrtRuntime({ device: 'cpu', threads: 0, onResults: this.onResults })
    return this.spare
  }

  private async closeSpare(): Promise<void> {
    await this.spare?.close()
    this.spare = undefined
  }

  private device(): OrtRuntime {
    invariant(this.runtime !== undefined, 'the device worker was not opened')
    return this.runtime
  }

  private beside(): QualitySession {
    invariant(this.quality !== undefined, 'no measurement of quality was started')
    return this.quality
  }

  private current(): Calibration {
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

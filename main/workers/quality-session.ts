/** Quality measured beside a calibration in the device worker: owns the second stream, its files and the CPU that rounds for a GPU. */
import type { LayerQuality } from '../../shared/domain/quality-report.ts'
import type { Calibrator } from '../engine/calibration/calibrator.ts'
import type { LayerControl } from '../engine/calibration/layer-pass.ts'
import { OrtRuntime } from '../engine/device/ort-runtime.ts'
import { NodeCheckpointFolder } from '../engine/io/node/checkpoint-folder.ts'
import { DescriptorReader } from '../engine/io/node/descriptor-reader.ts'
import { collectResults } from '../engine/io/node/release-garbage.ts'
import { OverlaidFolder } from '../engine/io/overlaid-folder.ts'
import { SweepQuality } from '../engine/quality/sweep-quality.ts'
import { CopiedTensorReader } from './copied-tensors.ts'
import type { DeviceCalls, MeasureQuality } from './device-protocol.ts'
import { OpenFiles } from './open-files.ts'
import { ScratchOwner } from './scratch-owner.ts'

export class QualitySession {
  readonly quality: SweepQuality
  private readonly files: OpenFiles
  private readonly scratch: ScratchOwner
  /** Only beside a GPU. */
  private readonly rounding: OrtRuntime | undefined

  private constructor(
    quality: SweepQuality,
    files: OpenFiles,
    scratch: ScratchOwner,
    rounding: OrtRuntime | undefined,
  ) {
    this.quality = quality
    this.files = files
    this.scratch = scratch
    this.rounding = rounding
  }

  /** Throws what opening an export throws. */
  static async open(
    { exportPath, texts, windows, expertInputs, states }: MeasureQuality,
    runtime: OrtRuntime,
    onNotice: (message: string) => void,
  ): Promise<QualitySession> {
    const files = new OpenFiles()
    const scratch = new ScratchOwner()
    const folder = new NodeCheckpointFolder(exportPath)
    const rounding =
      runtime.device === 'cpu'
        ? undefined
        : new OrtRuntime({ device: 'cpu', threads: 0, onResults: collectResults() })
    try {
      const quality = await SweepQuality.open({
        folder: new OverlaidFolder(folder, texts),
        runtime,
        roundingRuntime: rounding,
        windows,
        expertInputs,
        onNotice,
        stateMemory: scratch.stateMemory(states),
        readerOf: (names) => new DescriptorReader(files.open(names.map((name) => folder.pathOf(name)))),
      })
      return new QualitySession(quality, files, scratch, rounding)
    } catch (error: unknown) {
      files.close()
      scratch.close()
      await rounding?.close()
      throw error
    }
  }

  get spilledBytes(): number {
    return this.scratch.spilledBytes
  }

  measureLayer(
    { layerIndex, known }: DeviceCalls['measure_layer']['input'],
    calibrator: Calibrator,
    control: LayerControl,
  ): Promise<LayerQuality> {
    return this.quality.measureLayer(layerIndex, known, calibrator, control)
  }

  async measureText(
    { model, known, descriptors, copies }: DeviceCalls['measure_text']['input'],
    control: LayerControl,
  ): Promise<DeviceCalls['measure_text']['output']> {
    const source = new DescriptorReader(descriptors)
    const reader = new CopiedTensorReader(source, copies)
    const comparison = await this.quality.measureText(model, reader, known, control)
    return { comparison, bytesRead: source.bytesRead }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.quality.release()
    this.files.close()
    this.scratch.close()
    await this.rounding?.close()
  }
}

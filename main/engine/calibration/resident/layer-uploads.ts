/** The units of a layer as uploads, with the names that the graphs feed them under. */
import type { MoeModel } from '../../models/moe-model.ts'
import { layerUnits, type ExpertUnit, type NamedUnit } from '../weight-units.ts'
import type { UploadItem, UploadUnit } from './uploads.ts'

export interface ExpertUpload extends UploadUnit {
  readonly firstExpert: number
  readonly expertCount: number
}

export interface LayerUploads {
  readonly mixer: UploadUnit
  readonly moeFront: UploadUnit
  /** Two items: `gate_up` [E, 2F, H], gate rows first, and `down` [E, H, F]. */
  readonly experts: readonly ExpertUpload[]
}

export function layerUploads(model: MoeModel, layerIndex: number, maxUnitBytes: number): LayerUploads {
  const { mixer, moeFront, experts } = layerUnits(model, layerIndex, maxUnitBytes)
  const { expertWidth, hiddenSize } = model.text
  return {
    mixer: namedUpload(mixer),
    moeFront: namedUpload(moeFront),
    experts: experts.map((unit) => expertUpload(unit, expertWidth, hiddenSize)),
  }
}

/** In the order in which a layer needs them. */
export function inOrder({ mixer, moeFront, experts }: LayerUploads): readonly UploadUnit[] {
  return [mixer, moeFront, ...experts]
}

/** One item per slice, under its own name. */
export function namedUpload({ unit, names }: NamedUnit): UploadUnit {
  const items = unit.slices.map((slice, index): UploadItem => ({
    name: names[index] ?? slice.name,
    shape: slice.shape,
    parts: [index],
  }))
  return { unit, items }
}

function expertUpload({ unit, firstExpert, expertCount }: ExpertUnit, f: number, h: number): ExpertUpload {
  const parts = Array.from({ length: expertCount }, (_, index) => 3 * index)
  const items: readonly UploadItem[] = [
    {
      name: 'gate_up',
      shape: [expertCount, 2 * f, h],
      parts: parts.flatMap((first) => [first, first + 1]),
      holdsExperts: true,
    },
    {
      name: 'down',
      shape: [expertCount, h, f],
      parts: parts.map((first) => first + 2),
      holdsExperts: true,
    },
  ]
  return { unit, items, firstExpert, expertCount }
}

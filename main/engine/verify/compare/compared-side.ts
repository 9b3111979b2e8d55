/** A checkpoint or an export as named matrices that can be decoded, whatever layout and dialect it is stored in. */
import type { Checkpoint, TensorSlice } from '../../checkpoint/checkpoint.ts'
import type { CheckpointFolder } from '../../io/ports.ts'
import { recogniseModel } from '../../models/recognise-model.ts'
import type { SoundMatrix } from '../check-tensors.ts'
import { openExport, type OpenedExport } from '../open-export.ts'
import { readDeclarations } from '../read-declarations.ts'
import { verifyHeaders } from '../verify-export.ts'

export type Comparable =
  | { readonly kind: 'quantized'; readonly sound: SoundMatrix; readonly format: string }
  | { readonly kind: 'plain'; readonly slice: TensorSlice; readonly format: string }

export interface ComparedSide {
  readonly checkpoint: Checkpoint
  readonly kind: 'export' | 'checkpoint'
  readonly dialect: string
  readonly algorithm: string
  readonly layerCount: number
  readonly expertCount: number
  /** By module name (`….experts.3.gate_proj`), or by tensor name where there is no `.weight`. */
  readonly matrices: ReadonlyMap<string, Comparable>
  /** Modules declared as quantized whose tensors are not as declared. */
  readonly unreadable: ReadonlySet<string>
}

/** Throws what openExport, recogniseModel and verifyHeaders throw for what they cannot read. */
export async function openSide(folder: CheckpointFolder): Promise<ComparedSide> {
  const opened = await openExport(folder)
  return readDeclarations(opened).length > 0 ? exportSide(opened) : checkpointSide(opened.checkpoint)
}

function checkpointSide(checkpoint: Checkpoint): ComparedSide {
  const model = recogniseModel(checkpoint)
  const matrices = new Map<string, Comparable>()
  const add = (name: string, slice: TensorSlice): void => {
    matrices.set(keyOf(name), { kind: 'plain', slice, format: slice.dtype })
  }
  for (const item of model.exportOrder) {
    if (item.kind === 'tensor') add(item.name, item.source)
    else if (item.kind === 'linear') add(item.module, item.source)
    else if (item.kind === 'experts') {
      for (const [expert, { gate, up, down }] of item.experts.entries()) {
        const module = `${item.module}.${String(expert)}`
        add(`${module}.gate_proj`, gate)
        add(`${module}.up_proj`, up)
        add(`${module}.down_proj`, down)
      }
    }
  }
  const { layerCount, expertCount } = model.text
  return {
    checkpoint,
    kind: 'checkpoint',
    dialect: 'none',
    algorithm: 'none',
    layerCount,
    expertCount,
    matrices,
    unreadable: new Set(),
  }
}

function exportSide(opened: OpenedExport): ComparedSide {
  const { checked, declaration, model } = verifyHeaders(opened)
  const { checkpoint } = opened
  const matrices = new Map<string, Comparable>()
  const parts = new Set<string>()
  for (const sound of checked.quantized) {
    matrices.set(sound.matrix.module, { kind: 'quantized', sound, format: sound.stored.name })
    for (const { tensor } of sound.parts) parts.add(tensor.name)
  }
  const declared = new Set(
    checked.quantizedUnits.flatMap(({ unit }) => unit.matrices.map(({ module }) => module)),
  )
  const unreadable = new Set<string>()
  for (const slice of checkpoint.tensors.values()) {
    if (parts.has(slice.name)) continue
    const module = slice.name.slice(0, Math.max(0, slice.name.lastIndexOf('.')))
    if (declared.has(module) && !matrices.has(module)) unreadable.add(module)
    else matrices.set(keyOf(slice.name), { kind: 'plain', slice, format: slice.dtype })
  }
  return {
    checkpoint,
    kind: 'export',
    dialect: declaration?.dialect ?? 'none',
    algorithm: declaration?.algorithm ?? 'none',
    layerCount: model.text.layerCount,
    expertCount: model.text.expertCount,
    matrices,
    unreadable,
  }
}

function keyOf(name: string): string {
  return name.endsWith('.weight') ? name.slice(0, -'.weight'.length) : name
}

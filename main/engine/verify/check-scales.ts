/**
 * Values of scales and codes of every sound matrix: finite, positive, no zero scale over values, equal where engines take one for several.
 * Streams; memory is bounded by a chunk.
 */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { CheckedTensors, SoundMatrix } from './check-tensors.ts'
import type { Findings } from './findings.ts'
import { firstNotFiniteIn, isFloat, readFloats } from './read-floats.ts'
import { isNvfp4 } from './stored-format.ts'
import type { WindowedReader } from './windowed-reader.ts'

const CHUNK_BYTES = 4 * 1024 * 1024
const ELEMENT_BYTES = { F32: 4, BF16: 2, F16: 2 } as const

interface Scalars {
  readonly tensorScale: number | undefined
  readonly inputScale: number | undefined
  readonly isNvfp4: boolean
}

export interface ScaleContext {
  readonly reader: WindowedReader
  readonly findings: Findings
  /** Matrices of which a rule was broken; their values are not compared with the source. */
  readonly broken: Set<string>
  readonly isCancelled: () => boolean
}

/** Reads all scales and FP8 codes of the quantized matrices. `groups` = linears that engines fuse. */
export async function checkScales(
  { quantized }: CheckedTensors,
  groups: readonly (readonly string[])[],
  context: ScaleContext,
): Promise<void> {
  const scalars = new Map<string, Scalars>()
  let gate: { readonly sound: SoundMatrix; readonly values: Scalars } | undefined
  for (const sound of quantized) {
    if (context.isCancelled()) return
    const before = context.findings.total
    const values = await checkMatrix(sound, context)
    if (context.findings.total > before) context.broken.add(sound.matrix.module)
    const { module } = sound.matrix
    if (sound.unit.kind === 'linear') scalars.set(module, values)
    else if (module.endsWith('.gate_proj')) gate = { sound, values }
    else if (module.endsWith('.up_proj') && gate?.sound.matrix.module === siblingGate(module)) {
      compare('scale.gate-up', [gate.sound.matrix.module, module], [gate.values, values], context)
    }
  }
  for (const group of groups) {
    const members = group.flatMap((module) => {
      const values = scalars.get(module)
      return values === undefined ? [] : [{ module, values }]
    })
    compare(
      'scale.group',
      members.map(({ module }) => module),
      members.map(({ values }) => values),
      context,
    )
  }
}

function siblingGate(module: string): string {
  return module.replace(/\.up_proj$/, '.gate_proj')
}

/** NVFP4: tensor scale and input scale; every other format: input scale only. Values that are broken themselves are left out. */
function compare(
  rule: 'scale.gate-up' | 'scale.group',
  modules: readonly string[],
  values: readonly Scalars[],
  { findings, broken }: ScaleContext,
): void {
  const pairs = [
    [
      'tensor scale',
      values.map(({ tensorScale, isNvfp4: isShared }) => (isShared ? tensorScale : undefined)),
    ],
    ['input scale', values.map(({ inputScale }) => inputScale)],
  ] as const
  for (const [what, list] of pairs) {
    const first = list.findIndex((value) => value !== undefined && value > 0 && Number.isFinite(value))
    const other = list.findIndex(
      (value) => value !== undefined && value > 0 && Number.isFinite(value) && value !== list[first],
    )
    if (first === -1 || other === -1) continue
    const problem = `its ${what} is ${String(list[other])}, that of ${modules[first] ?? ''} is ${String(list[first])}`
    findings.add(rule, modules[other] ?? '', problem)
    for (const module of modules) broken.add(module)
  }
}

async function checkMatrix(sound: SoundMatrix, context: ScaleContext): Promise<Scalars> {
  const scalars: Partial<Record<'tensor_scale' | 'input_scale', number | undefined>> = {}
  for (const { rule, tensor } of sound.parts) {
    switch (rule.role) {
      case 'tensor_scale':
      case 'input_scale':
        scalars[rule.role] = await checkFloatScale(tensor, context)
        break
      case 'float_scale':
        await checkFloatScale(tensor, context)
        break
      case 'e4m3_scale':
        await checkBlockScales(sound, tensor, context)
        break
      case 'e8m0_scale':
        await checkBytes(
          tensor,
          context,
          'scale.nan',
          (byte) => byte === 0xff,
          'E8M0 byte 0xFF, which is NaN',
        )
        break
      case 'codes':
        if (tensor.dtype === 'F8_E4M3') {
          const isNan = (byte: number): boolean => (byte & 0x7f) === 0x7f
          await checkBytes(tensor, context, 'weight.finite', isNan, 'a code 0x7F or 0xFF, which is NaN')
        }
        break
      case 'shape':
        await checkStoredShape(sound, tensor, context)
        break
      case 'other':
        break
    }
  }
  return {
    tensorScale: scalars.tensor_scale,
    inputScale: scalars.input_scale,
    isNvfp4: isNvfp4(sound.stored),
  }
}

/** Finite and greater than zero; returns the first value. */
async function checkFloatScale(
  tensor: TensorSlice,
  { reader, findings }: ScaleContext,
): Promise<number | undefined> {
  let first: number | undefined
  for (let from = 0; from < tensor.sizeBytes; from += CHUNK_BYTES) {
    const bytes = await reader.read(tensor, from, Math.min(CHUNK_BYTES, tensor.sizeBytes - from))
    const values = readFloats(tensor.dtype, bytes)
    first ??= values[0]
    const at = values.findIndex((value) => !(value > 0) || !Number.isFinite(value))
    if (at === -1) continue
    const value = values[at] ?? Number.NaN
    const position = tensor.sizeBytes > 4 ? ` at element ${String(at + from / elementBytes(tensor))}` : ''
    if (!Number.isFinite(value)) findings.add('scale.nan', tensor.name, `it is ${String(value)}${position}`)
    else findings.add('scale.positive', tensor.name, `it is ${String(value)}${position}`)
    break
  }
  return first
}

function elementBytes({ dtype }: TensorSlice): number {
  return dtype === 'F32' || dtype === 'BF16' || dtype === 'F16' ? ELEMENT_BYTES[dtype] : 1
}

async function checkBytes(
  tensor: TensorSlice,
  { reader, findings }: ScaleContext,
  rule: 'scale.nan' | 'weight.finite',
  isBad: (byte: number) => boolean,
  what: string,
): Promise<void> {
  for (let from = 0; from < tensor.sizeBytes; from += CHUNK_BYTES) {
    const bytes = await reader.read(tensor, from, Math.min(CHUNK_BYTES, tensor.sizeBytes - from))
    const at = bytes.findIndex(isBad)
    if (at === -1) continue
    findings.add(rule, tensor.name, `element ${String(from + at)} is ${what}`)
    return
  }
}

/** E4M3 block scales: NaN, negative, and zero over a block that has values. */
async function checkBlockScales(
  sound: SoundMatrix,
  tensor: TensorSlice,
  context: ScaleContext,
): Promise<void> {
  const { reader, findings } = context
  const codes = sound.parts.find(({ rule }) => rule.role === 'codes')?.tensor
  const blockBytes = (sound.stored.format.blockSize ?? 16) / 2
  for (let from = 0; from < tensor.sizeBytes; from += CHUNK_BYTES) {
    const bytes = await reader.read(tensor, from, Math.min(CHUNK_BYTES, tensor.sizeBytes - from))
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0
      if (byte > 0 && byte < 0x7f) continue
      const where = `block scale ${String(from + at)}`
      if ((byte & 0x7f) === 0x7f) {
        findings.add(
          'scale.nan',
          tensor.name,
          `${where} is the NaN byte 0x${byte.toString(16).toUpperCase()}`,
        )
        return
      }
      if (byte > 0x80) {
        findings.add(
          'scale.positive',
          tensor.name,
          `${where} is negative (0x${byte.toString(16).toUpperCase()})`,
        )
        return
      }
      if (codes === undefined) continue
      const block = await reader.read(codes, (from + at) * blockBytes, blockBytes)
      if (!block.some((pair) => (pair & 0x77) !== 0)) continue
      findings.add('scale.zero-block', tensor.name, `${where} is zero, its block has other values than zero`)
      return
    }
  }
}

async function checkStoredShape(
  sound: SoundMatrix,
  tensor: TensorSlice,
  context: ScaleContext,
): Promise<void> {
  const bytes = await context.reader.read(tensor)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const stored = [0, 1].map((index) =>
    tensor.dtype === 'I64' ? Number(view.getBigInt64(index * 8, true)) : view.getInt32(index * 4, true),
  )
  const { rows, cols } = sound.matrix
  if (stored[0] === rows && stored[1] === cols) return
  const problem = `it says [${stored.join(', ')}], the matrix is [${String(rows)}, ${String(cols)}]`
  context.findings.add('tensor.shape', tensor.name, problem)
}

/** Every unquantized float tensor: no NaN, no infinity. */
export async function checkFinite(
  tensors: Iterable<TensorSlice>,
  { reader, findings, isCancelled }: ScaleContext,
): Promise<void> {
  for (const tensor of tensors) {
    const { dtype } = tensor
    if (!isFloat(dtype)) continue
    for (let from = 0; from < tensor.sizeBytes; from += CHUNK_BYTES) {
      if (isCancelled()) return
      const bytes = await reader.read(tensor, from, Math.min(CHUNK_BYTES, tensor.sizeBytes - from))
      const at = firstNotFiniteIn(dtype, bytes)
      if (at === -1) continue
      findings.add(
        'weight.finite',
        tensor.name,
        `element ${String(at + from / elementBytes(tensor))} is NaN or infinite`,
      )
      break
    }
  }
}

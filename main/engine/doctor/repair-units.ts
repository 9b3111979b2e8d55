/** Goes through the units of the model and repairs those of which a rule was broken; everything else is not read again. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { sharesGroupAmax } from '../quant/layout.ts'
import { isSameShape } from '../verify/check-parts.ts'
import type { ExportRuleId } from '../verify/rules/export-rules.ts'
import type { SourceView } from '../verify/source-view.ts'
import { isNvfp4, type StoredFormat } from '../verify/stored-format.ts'
import type { HeaderCheck } from '../verify/verify-export.ts'
import type { WindowedReader } from '../verify/windowed-reader.ts'
import type { RepairSet } from './repair.ts'
import { linearGroups, repairExpertInputs, repairGroupInputs } from './repair-input-scales.ts'
import { repairWeights, type SharedWeights } from './repair-weights.ts'
import { isUsable, readScalar, storedMatrices, type StoredMatrix } from './stored-matrix.ts'

export interface UnitContext {
  readonly headers: HeaderCheck
  readonly reader: WindowedReader
  /** Modules of which a rule was broken, with the first such rule. */
  readonly broken: ReadonlyMap<string, ExportRuleId>
  /** Modules whose weights, not only input scales, are in doubt. */
  readonly brokenWeights: ReadonlySet<string>
  /** The checkpoint to quantize anew from; undefined = without source, or when the export has other weights than rounded ones. */
  readonly source: SourceView | undefined
  readonly set: RepairSet
}

export async function repairUnits(context: UnitContext): Promise<void> {
  const { headers, broken, reader, set } = context
  const linears = new Map<string, StoredMatrix>()
  for (const unit of headers.model.units) {
    const matrices = storedMatrices(unit, headers)
    if (unit.kind === 'linear') {
      for (const matrix of matrices) linears.set(unit.name, matrix)
      continue
    }
    if (!matrices.some((matrix) => isBroken(matrix, broken))) continue
    await repairExpertInputs(matrices, reader, set)
    await repairExperts(matrices, context)
  }
  const grouped = new Set<string>()
  for (const group of linearGroups(headers.model, linears)) {
    for (const { matrix } of group) grouped.add(matrix.module)
    if (!group.some((matrix) => isBroken(matrix, broken))) continue
    await repairGroupInputs(group, reader, set)
    await repairTogether({ matrices: group, rule: 'scale.group', areOthersEqual: false }, context)
  }
  for (const [module, matrix] of linears) {
    if (grouped.has(module) || !broken.has(module)) continue
    await repairTogether({ matrices: [matrix], rule: 'scale.group', areOthersEqual: false }, context)
  }
}

function isBroken({ matrix }: StoredMatrix, broken: ReadonlyMap<string, ExportRuleId>): boolean {
  return broken.has(matrix.module)
}

async function repairExperts(matrices: readonly StoredMatrix[], context: UnitContext): Promise<void> {
  const areOthersEqual = await arePairsEqual(matrices, context.reader)
  for (let first = 0; first < matrices.length; first += 3) {
    const [gate, up, down] = matrices.slice(first, first + 3)
    const pair = [gate, up].filter((matrix) => matrix !== undefined)
    await repairTogether({ matrices: pair, rule: 'scale.gate-up', areOthersEqual }, context)
    if (down !== undefined)
      await repairTogether({ matrices: [down], rule: 'scale.gate-up', areOthersEqual: false }, context)
  }
}

/** True when there are pairs with two usable tensor scales and all of them agree. */
async function arePairsEqual(matrices: readonly StoredMatrix[], reader: WindowedReader): Promise<boolean> {
  let isSeen = false
  for (let first = 0; first < matrices.length; first += 3) {
    const values: (number | undefined)[] = []
    for (const matrix of matrices.slice(first, first + 2))
      values.push(await readScalar(matrix, 'tensor_scale', reader))
    if (values.length < 2 || !values.every(isUsable)) continue
    if (values[0] !== values[1]) return false
    isSeen = true
  }
  return isSeen
}

/** From the source where there is one, else from what is stored. */
async function repairTogether(shared: SharedWeights, context: UnitContext): Promise<void> {
  const { source, broken, brokenWeights, reader, set } = context
  const isUnequal = await haveUnequalScales(shared.matrices, reader)
  const damaged = shared.matrices.filter(({ matrix }) => isUnequal || brokenWeights.has(matrix.module))
  if (damaged.length === 0) return
  const groups = source === undefined ? undefined : encodable(shared, damaged, source)
  if (groups === undefined) {
    await repairWeights(shared, reader, set)
    return
  }
  for (const { format, members } of groups) {
    set.encoded.push({ format, members })
    for (const { module } of members) {
      const own = broken.get(module)
      set.note({
        rule: own ?? shared.rule,
        subject: module,
        action: 'quantized anew from the source',
        before: own === undefined ? 'sound, but used as one with a damaged matrix' : 'damaged',
        after: 'the nearest values of its format',
        relativeError: undefined,
      })
    }
  }
}

async function haveUnequalScales(
  matrices: readonly StoredMatrix[],
  reader: WindowedReader,
): Promise<boolean> {
  if (matrices.length < 2 || !matrices.every(({ stored }) => isNvfp4(stored))) return false
  const values = new Set<number>()
  for (const matrix of matrices) {
    const value = await readScalar(matrix, 'tensor_scale', reader)
    if (value !== undefined && isUsable(value)) values.add(value)
  }
  return values.size > 1
}

interface Encodable {
  readonly format: ModuleFormat
  readonly members: readonly { readonly module: string; readonly source: TensorSlice }[]
}

/** Matrices that share a maximum are encoded together, others only where damaged. undefined when one has no matrix in the source. */
function encodable(
  { matrices }: SharedWeights,
  damaged: readonly StoredMatrix[],
  source: SourceView,
): readonly Encodable[] | undefined {
  const [first] = matrices
  const format = first && encodedFormat(first.stored)
  if (format === undefined) return undefined
  const isShared = sharesGroupAmax(format.format)
  const wanted = isShared ? matrices : damaged
  const members = wanted.flatMap(({ matrix }) => {
    const original = source.matrixOf(matrix.module)
    const isSame = original !== undefined && isSameShape(original.shape, [matrix.rows, matrix.cols])
    return isSame ? [{ module: matrix.module, source: original }] : []
  })
  if (members.length < wanted.length) return undefined
  return isShared ? [{ format, members }] : members.map((member) => ({ format, members: [member] }))
}

/** What the encoder calls a stored format; undefined for zero points and widths of packed integers that it does not have. */
function encodedFormat({ format, packedBits, hasZeroPoint }: StoredFormat): ModuleFormat | undefined {
  if (hasZeroPoint) return undefined
  if (packedBits === undefined || (packedBits === 4 && format.blockSize !== undefined)) return format
  return packedBits === 8 && format.blockSize === undefined ? { ...format, format: 'int8_wo' } : undefined
}

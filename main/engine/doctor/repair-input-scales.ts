/**
 * Input scales. A scale that is missing, zero, negative or not finite takes the widest one among the matrices that could stand in for it:
 * the other experts of the layer with the same kind of input (as an expert without calibration data does), or the other projections that
 * read the same tensor. Scales that engines take once for several matrices become the widest of them, so that nothing is cut off.
 */
import type { ExpectedModel } from '../verify/expected-model.ts'
import type { ExportRuleId } from '../verify/rules/export-rules.ts'
import type { WindowedReader } from '../verify/windowed-reader.ts'
import type { RepairSet } from './repair.ts'
import { isUsable, readScalar, scalarPlace, wider, type StoredMatrix } from './stored-matrix.ts'

/** Scale when no expert of a layer has one: what the recipes with a constant input scale write. */
const LAST_RESORT = 1

interface Scaled {
  readonly matrix: StoredMatrix
  /** As stored; undefined = missing. */
  readonly found: number | undefined
  value: number
}

/** Matrices of one layer's experts, expert by expert. */
export async function repairExpertInputs(
  matrices: readonly StoredMatrix[],
  reader: WindowedReader,
  set: RepairSet,
): Promise<void> {
  const all = await readAll(matrices, reader)
  const [first] = all
  if (first === undefined) return
  const downs = all.filter(({ matrix }) => isDown(matrix))
  const others = all.filter(({ matrix }) => !isDown(matrix))
  for (const alike of [others, downs]) {
    const usable = alike.flatMap(({ found, value }) => (isUsable(found) ? [value] : []))
    const widest = usable.reduce<number | undefined>(
      (best, value) => (best === undefined ? value : wider(first.matrix.stored, best, value)),
      undefined,
    )
    for (const scaled of alike) if (!isUsable(scaled.found)) scaled.value = widest ?? LAST_RESORT
    const action =
      widest === undefined
        ? 'no expert of this layer has one: 1, as with a constant input scale'
        : "the widest of the layer's other experts"
    writeBroken(alike, action, set)
  }
  for (const [gate, up] of pairsOf(others)) equalise([gate, up], 'scale.gate-up', set)
}

/** Linears that engines fuse: they read the same tensor. */
export async function repairGroupInputs(
  matrices: readonly StoredMatrix[],
  reader: WindowedReader,
  set: RepairSet,
): Promise<void> {
  const all = await readAll(matrices, reader)
  const usable = all.filter(({ found }) => isUsable(found))
  const [first] = usable
  if (first === undefined || all.length < 2) return
  const widest = usable.reduce((best, { value }) => wider(first.matrix.stored, best, value), first.value)
  for (const scaled of all) if (!isUsable(scaled.found)) scaled.value = widest
  writeBroken(all, 'that of a projection with the same input', set)
  equalise(usable, 'scale.group', set)
}

/** Fused linears of the model, by group, as far as they have input scales. */
export function linearGroups(
  { groups }: Pick<ExpectedModel, 'groups'>,
  linears: ReadonlyMap<string, StoredMatrix>,
): readonly (readonly StoredMatrix[])[] {
  return groups.map((group) => group.flatMap((module) => linears.get(module) ?? []))
}

async function readAll(
  matrices: readonly StoredMatrix[],
  reader: WindowedReader,
): Promise<readonly Scaled[]> {
  const list: Scaled[] = []
  for (const matrix of matrices) {
    const part = matrix.parts.get('input_scale')
    if (part === undefined || (part.rule.isOptional && part.tensor === undefined)) continue
    const found = await readScalar(matrix, 'input_scale', reader)
    list.push({ matrix, found, value: found ?? Number.NaN })
  }
  return list
}

function writeBroken(list: readonly Scaled[], action: string, set: RepairSet): void {
  for (const { matrix, found, value } of list) {
    if (isUsable(found)) continue
    const rule = found === undefined ? 'names.exact' : found <= 0 ? 'scale.positive' : 'scale.nan'
    write(matrix, rule, action, found, value, set)
  }
}

/** Found ones that differ become the widest. */
function equalise(list: readonly Scaled[], rule: ExportRuleId, set: RepairSet): void {
  const [first] = list
  if (first === undefined) return
  const widest = list.reduce((best, { value }) => wider(first.matrix.stored, best, value), first.value)
  for (const { matrix, found, value } of list) {
    if (!isUsable(value) || value === widest) continue
    write(matrix, rule, 'the widest of those that engines use as one', found, widest, set)
  }
}

function write(
  matrix: StoredMatrix,
  rule: ExportRuleId,
  action: string,
  found: number | undefined,
  value: number,
  set: RepairSet,
): void {
  const place = scalarPlace(matrix, 'input_scale')
  if (place === undefined) return
  set.scalars.set(place.name, { shape: place.shape, value })
  set.note({
    rule,
    subject: place.name,
    action,
    before: found === undefined ? 'missing' : String(found),
    after: String(value),
    relativeError: 0,
  })
}

function isDown({ matrix }: StoredMatrix): boolean {
  return matrix.module.endsWith('.down_proj')
}

function pairsOf(list: readonly Scaled[]): readonly (readonly [Scaled, Scaled])[] {
  const gates = new Map(list.map((scaled) => [scaled.matrix.matrix.module, scaled]))
  return list.flatMap((up) => {
    const gate = gates.get(up.matrix.matrix.module.replace(/\.up_proj$/, '.gate_proj'))
    return gate === undefined || gate === up ? [] : [[gate, up] as const]
  })
}

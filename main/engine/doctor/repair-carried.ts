/** Tensors that an export carries over: lost or changed ones of MTP and vision, and lost or unusable ones of the text tower, come back from the source. */
import { isMtp, isVision } from '../models/qwen3_5-moe/carried-tensors.ts'
import { isSameShape } from '../verify/check-parts.ts'
import { isFloat } from '../verify/read-floats.ts'
import type { ExportRuleId } from '../verify/rules/export-rules.ts'
import type { SourceView } from '../verify/source-view.ts'
import type { HeaderCheck } from '../verify/verify-export.ts'
import type { RepairSet } from './repair.ts'

/** What makes an unquantized tensor worthless; one that merely differs may have been changed on purpose. */
const LOST_RULES = ['names.exact', 'tensor.dtype', 'tensor.shape', 'weight.finite'] as const

/** `subjects` = tensors that a finding of a rule names. */
export function repairCarried(
  subjects: ReadonlyMap<ExportRuleId, ReadonlySet<string>>,
  { tensors, model, declaration }: Pick<HeaderCheck, 'tensors' | 'model' | 'declaration'>,
  source: SourceView,
  set: RepairSet,
): void {
  const carried = [...source.checkpoint.tensors.keys()].filter((name) => isMtp(name) || isVision(name))
  const isNamed = (rule: ExportRuleId, name: string): boolean => subjects.get(rule)?.has(name) === true
  for (const name of carried) {
    const rule = isMtp(name) ? 'carried.mtp' : 'carried.vision'
    if (!tensors.all.has(name) || isNamed(rule, name)) restore(name, rule)
  }
  const unquantized = model.units
    .filter(({ name, kind }) => kind === 'linear' && declaration?.formatOf(name, kind) === undefined)
    .flatMap(({ matrices }) => matrices)
    .map(({ module, rows, cols }) => ({ name: `${module}.weight`, shape: [rows, cols] }))
  for (const { name, shape } of [...model.plain, ...unquantized]) {
    const original = source.checkpoint.tensors.get(name)
    const rule = LOST_RULES.find((broken) => isNamed(broken, name))
    if (rule !== undefined && original !== undefined && isSameShape(shape, original.shape))
      restore(name, rule)
  }

  function restore(name: string, rule: ExportRuleId): void {
    const slice = source.checkpoint.tensors.get(name)
    if (slice === undefined) return
    const own = tensors.all.get(name)
    // A vision tower that was rounded to BF16 with the rest of the model stays rounded.
    const isRounded =
      rule !== 'carried.mtp' && own?.dtype === 'BF16' && slice.dtype !== 'BF16' && isFloat(slice.dtype)
    const convertTo = isRounded ? 'BF16' : undefined
    set.restored.set(name, { slice, dtype: convertTo ?? slice.dtype, convertTo })
    set.note({
      rule,
      subject: name,
      action: 'taken from the source',
      before:
        own === undefined ? 'missing' : rule.startsWith('carried') ? 'differs from the source' : 'damaged',
      after: 'as in the source',
      relativeError: undefined,
    })
  }
}

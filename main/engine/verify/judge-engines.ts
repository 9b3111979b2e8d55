/** Applies the engine rules to facts about an export, planned or finished. Pure; nothing is executed. */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { KvCacheFormat, ModuleFormat } from '../quant/formats.ts'
import { compilePattern } from '../recipes/fnmatch.ts'
import type { Dialect, EngineRule, EngineRules } from './rules/engine-rule.ts'
import { ENGINE_RULES } from './rules/engine-rules.ts'
import type { ExportRuleId } from './rules/export-rules.ts'

export interface QuantizedModule {
  readonly name: string
  readonly kind: 'linear' | 'experts' | 'conv' | 'embedding' | 'router'
  readonly format: ModuleFormat
}

export interface EngineFacts {
  readonly dialect: Dialect
  /** In the order of the model; the first that fits is named in the verdict. */
  readonly modules: readonly QuantizedModule[]
  readonly kvCache: KvCacheFormat
  readonly isMixed: boolean
  readonly hasSeveralBlockSizes: boolean
  readonly lacksInputScales: boolean
  readonly hasTopLevelGroupSize: boolean
  readonly listsFusedNames: boolean
  readonly hasLegacyFile: boolean
  /** Export rules with errors and the first subject of each; empty for a plan. */
  readonly broken: ReadonlyMap<ExportRuleId, string>
}

/** One verdict per engine, in the order of the table. */
export function judgeEngines(facts: EngineFacts): readonly EngineVerdict[] {
  return ENGINE_RULES.map((rules) => judge(rules, facts))
}

function judge({ engine, rules, otherwise, origin }: EngineRules, facts: EngineFacts): EngineVerdict {
  for (const rule of rules) {
    const found = firstMatch(rule.when, facts)
    if (found === undefined) continue
    return {
      engine,
      verdict: rule.verdict,
      reason: fill(rule.reason, found),
      rule: rule.id,
      subject: found.subject,
      origin: rule.origin ?? origin,
    }
  }
  const { id, verdict, reason } = otherwise
  return { engine, verdict, reason, rule: id, origin }
}

interface Match {
  /** Module or tensor the rule applies to; undefined when it is about the export as a whole. */
  readonly subject: string | undefined
  readonly module: QuantizedModule | undefined
}

const WHOLE_EXPORT: Match = { subject: undefined, module: undefined }
const FLAGS = [
  'isMixed',
  'hasSeveralBlockSizes',
  'lacksInputScales',
  'hasTopLevelGroupSize',
  'listsFusedNames',
  'hasLegacyFile',
] as const

function firstMatch(when: EngineRule['when'], facts: EngineFacts): Match | undefined {
  const holds =
    (when.dialect ?? facts.dialect) === facts.dialect &&
    FLAGS.every((flag) => (when[flag] ?? facts[flag]) === facts[flag]) &&
    (when.kv?.includes(facts.kvCache) ?? true)
  if (!holds) return undefined
  if (when.broken !== undefined) {
    const rule = when.broken.find((id) => facts.broken.has(id))
    return rule === undefined ? undefined : { subject: facts.broken.get(rule), module: undefined }
  }
  return isAboutModules(when) ? firstModule(when, facts) : WHOLE_EXPORT
}

function isAboutModules({ formats, module, kind, blockSizes, otherBlockSizes }: EngineRule['when']): boolean {
  return [formats, module, kind, blockSizes, otherBlockSizes].some((condition) => condition !== undefined)
}

function firstModule(
  { formats, module, kind, blockSizes, otherBlockSizes }: EngineRule['when'],
  { modules }: EngineFacts,
): Match | undefined {
  const pattern = module === undefined ? undefined : compilePattern(module)
  const found = modules.find(
    ({ name, kind: moduleKind, format }) =>
      (formats?.includes(format.format) ?? true) &&
      (kind ?? moduleKind) === moduleKind &&
      (pattern?.matches(name) ?? true) &&
      (blockSizes?.includes(format.blockSize ?? 0) ?? true) &&
      otherBlockSizes?.includes(format.blockSize ?? 0) !== true,
  )
  return found === undefined ? undefined : { subject: found.name, module: found }
}

function fill(reason: string, { subject, module }: Match): string {
  return reason
    .replaceAll('{module}', () => module?.name ?? '')
    .replaceAll('{format}', () => module?.format.format ?? '')
    .replaceAll('{subject}', () => subject ?? '')
}

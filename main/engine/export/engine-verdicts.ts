/** Applies the engine rules to a plan. Pure; nothing is executed. */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { MoeModel, QuantizableModule } from '../models/moe-model.ts'
import type { ExportPlan } from '../pipeline/export-plan.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { blockSizeOf, weightLayout } from '../quant/layout.ts'
import { compilePattern } from '../recipes/fnmatch.ts'
import { ENGINE_RULES, type EngineRule, type EngineRules } from './engine-rules.ts'
import { layerPayload } from './quant-algo.ts'

interface QuantizedModule {
  readonly name: string
  readonly kind: QuantizableModule['kind']
  readonly format: ModuleFormat
}

interface PlanFacts {
  readonly plan: ExportPlan
  readonly modules: readonly QuantizedModule[]
  readonly isMixed: boolean
  readonly hasSeveralBlockSizes: boolean
  readonly lacksInputScales: boolean
}

/** One verdict per engine, in the order of the table. */
export function engineVerdicts(plan: ExportPlan, model: MoeModel): readonly EngineVerdict[] {
  const facts = collectFacts(plan, model)
  return ENGINE_RULES.map((rules) => judge(rules, facts))
}

/** True when the modules of the export do not all have the same format. */
export function isMixedPrecision(formats: ReadonlyMap<string, ModuleFormat>): boolean {
  return new Set([...formats.values()].map((format) => JSON.stringify(layerPayload(format)))).size > 1
}

function collectFacts(plan: ExportPlan, model: MoeModel): PlanFacts {
  const modules = model.modules.flatMap(({ name, kind }): readonly QuantizedModule[] => {
    const format = plan.formats.get(name)
    return format === undefined ? [] : [{ name, kind, format }]
  })
  const nvfp4Sizes = modules.flatMap(({ format }) =>
    weightLayout(format.format) === 'nvfp4' ? [blockSizeOf(format)] : [],
  )
  return {
    plan,
    modules,
    isMixed: isMixedPrecision(plan.formats),
    hasSeveralBlockSizes: new Set(nvfp4Sizes).size > 1,
    lacksInputScales: lacksInputScales(plan, model, modules),
  }
}

/** Three scales per expert are due wherever the format of the experts stores one. */
function lacksInputScales(plan: ExportPlan, model: MoeModel, modules: readonly QuantizedModule[]): boolean {
  const layers = modules.filter(({ kind, format }) => kind === 'experts' && format.inputScale !== undefined)
  const due = layers.length * model.text.expertCount * 3
  return plan.activationScales.filter(({ expertIndex }) => expertIndex !== undefined).length < due
}

function judge({ engine, rules, otherwise }: EngineRules, facts: PlanFacts): EngineVerdict {
  for (const { when, verdict, reason } of rules) {
    const found = firstMatch(when, facts)
    if (found !== undefined) return { engine, verdict, reason: fill(reason, found) }
  }
  return { engine, ...otherwise }
}

/** The module a rule applies to, or 'export' when it has no condition on modules; undefined when it does not apply. */
function firstMatch(when: EngineRule['when'], facts: PlanFacts): QuantizedModule | 'export' | undefined {
  const { plan } = facts
  const holds =
    (when.isMixed ?? facts.isMixed) === facts.isMixed &&
    (when.hasSeveralBlockSizes ?? facts.hasSeveralBlockSizes) === facts.hasSeveralBlockSizes &&
    (when.lacksInputScales ?? facts.lacksInputScales) === facts.lacksInputScales &&
    (when.profile ?? plan.profile) === plan.profile &&
    (when.kv?.includes(plan.kvCache) ?? true)
  if (!holds) return undefined
  const { formats, module, kind, blockSizes } = when
  if (formats === undefined && module === undefined && kind === undefined && blockSizes === undefined)
    return 'export'
  const pattern = module === undefined ? undefined : compilePattern(module)
  return facts.modules.find(
    ({ name, kind: moduleKind, format }) =>
      (formats?.includes(format.format) ?? true) &&
      (kind ?? moduleKind) === moduleKind &&
      (pattern?.matches(name) ?? true) &&
      (blockSizes?.includes(format.blockSize ?? 0) ?? true),
  )
}

function fill(reason: string, found: QuantizedModule | 'export'): string {
  if (found === 'export') return reason
  return reason.replaceAll('{module}', found.name).replaceAll('{format}', found.format.format)
}

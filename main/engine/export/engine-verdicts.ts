/** What the engine rules say about a plan. Pure; the rules themselves are data in verify/rules. */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { adoptFormats, dialectOf } from '../dialects/choose-dialect.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { ExportPlan } from '../pipeline/export-plan.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { blockSizeOf, weightLayout } from '../quant/layout.ts'
import { judgeEngines, type QuantizedModule } from '../verify/judge-engines.ts'
import { hasSeveralGroups } from './compressed-tensors-config.ts'
import { layerPayload } from './quant-algo.ts'

type Judged = Pick<ExportPlan, 'profile' | 'dialect' | 'formats' | 'kvCache'>

/** One verdict per engine, in the order of the table. Where an engine does not load the plan but would in the other dialect, it says so. */
export function engineVerdicts(plan: ExportPlan, model: MoeModel): readonly EngineVerdict[] {
  const own = ownVerdicts(plan, model)
  return own.every(({ verdict }) => verdict !== 'fails') ? own : withWaysOut(own, otherVerdicts(plan, model))
}

/** Verdicts on the plan and on the same recipe in the other dialect, if that can hold it. */
export function verdictsByDialect(
  plan: ExportPlan,
  model: MoeModel,
): ReadonlyMap<DialectChoice, readonly EngineVerdict[]> {
  const other = otherVerdicts(plan, model)
  return new Map([
    [plan.dialect ?? 'modelopt', ownVerdicts(plan, model)],
    ...(other === undefined ? [] : [[other.dialect, other.verdicts] as const]),
  ])
}

interface OtherVerdicts {
  readonly dialect: DialectChoice
  readonly verdicts: readonly EngineVerdict[]
}

function withWaysOut(
  own: readonly EngineVerdict[],
  other: OtherVerdicts | undefined,
): readonly EngineVerdict[] {
  if (other === undefined) return own
  return own.map((verdict, index) => {
    const found = other.verdicts[index]?.verdict
    if (verdict.verdict !== 'fails' || (found !== 'loads' && found !== 'warns')) return verdict
    return { ...verdict, wayOut: { dialect: other.dialect, verdict: found } }
  })
}

function ownVerdicts(plan: ExportPlan, model: MoeModel): readonly EngineVerdict[] {
  return judge(plan, model, lacksInputScales(plan, model, quantizedModules(plan, model)))
}

function otherVerdicts({ asked, profile, dialect }: ExportPlan, model: MoeModel): OtherVerdicts | undefined {
  if (asked === undefined) return undefined
  const other = dialect === 'compressed-tensors' ? 'modelopt' : 'compressed-tensors'
  try {
    const verdicts = judge(
      { profile, dialect: other, ...adoptFormats(dialectOf(other), asked) },
      model,
      false,
    )
    return { dialect: other, verdicts }
  } catch (error: unknown) {
    if (error instanceof AppError && error.code === 'DIALECT_UNSUPPORTED') return undefined
    throw error
  }
}

function judge(plan: Judged, model: MoeModel, lacksScales: boolean): readonly EngineVerdict[] {
  const modules = quantizedModules(plan, model)
  const isHardened = plan.profile === 'hardened'
  const dialect = plan.dialect ?? 'modelopt'
  return judgeEngines({
    dialect,
    modules,
    kvCache: plan.kvCache,
    isMixed: isMixedExport(plan),
    hasSeveralBlockSizes: hasSeveralBlockSizes(modules),
    lacksInputScales: lacksScales,
    hasTopLevelGroupSize: isHardened,
    listsFusedNames: isHardened,
    hasLegacyFile: dialect === 'modelopt',
    broken: new Map(),
  })
}

function quantizedModules({ formats }: Judged, model: MoeModel): readonly QuantizedModule[] {
  return model.modules.flatMap(({ name, kind }): readonly QuantizedModule[] => {
    const format = formats.get(name)
    return format === undefined ? [] : [{ name, kind, format }]
  })
}

/** True when the description of the export needs more than one group of modules. */
export function isMixedExport({ dialect, formats }: Pick<ExportPlan, 'dialect' | 'formats'>): boolean {
  return dialect === 'compressed-tensors' ? hasSeveralGroups(formats.values()) : isMixedPrecision(formats)
}

/** True when the modules of the export do not all have the same format. */
export function isMixedPrecision(formats: ReadonlyMap<string, ModuleFormat>): boolean {
  return new Set([...formats.values()].map((format) => JSON.stringify(layerPayload(format)))).size > 1
}

/** True when modules of the NVFP4 family have different block sizes. */
export function hasSeveralBlockSizes(modules: readonly QuantizedModule[]): boolean {
  const sizes = modules.flatMap(({ format }) =>
    weightLayout(format.format) === 'nvfp4' ? [blockSizeOf(format)] : [],
  )
  return new Set(sizes).size > 1
}

/** Three scales per expert are due wherever the format of the experts stores one. */
function lacksInputScales(plan: ExportPlan, model: MoeModel, modules: readonly QuantizedModule[]): boolean {
  const layers = modules.filter(({ kind, format }) => kind === 'experts' && format.inputScale !== undefined)
  const due = layers.length * model.text.expertCount * 3
  return plan.activationScales.filter(({ expertIndex }) => expertIndex !== undefined).length < due
}

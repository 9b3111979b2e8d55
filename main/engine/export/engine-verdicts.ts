/** What the engine rules say about a plan. Pure; the rules themselves are data in verify/rules. */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { ExportPlan } from '../pipeline/export-plan.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { blockSizeOf, weightLayout } from '../quant/layout.ts'
import { judgeEngines, type QuantizedModule } from '../verify/judge-engines.ts'
import { hasSeveralGroups } from './compressed-tensors-config.ts'
import { layerPayload } from './quant-algo.ts'

/** One verdict per engine, in the order of the table. */
export function engineVerdicts(plan: ExportPlan, model: MoeModel): readonly EngineVerdict[] {
  const modules = model.modules.flatMap(({ name, kind }): readonly QuantizedModule[] => {
    const format = plan.formats.get(name)
    return format === undefined ? [] : [{ name, kind, format }]
  })
  const isHardened = plan.profile === 'hardened'
  const dialect = plan.dialect ?? 'modelopt'
  return judgeEngines({
    dialect,
    modules,
    kvCache: plan.kvCache,
    isMixed: isMixedExport(plan),
    hasSeveralBlockSizes: hasSeveralBlockSizes(modules),
    lacksInputScales: lacksInputScales(plan, model, modules),
    hasTopLevelGroupSize: isHardened,
    listsFusedNames: isHardened,
    hasLegacyFile: dialect === 'modelopt',
    broken: new Map(),
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

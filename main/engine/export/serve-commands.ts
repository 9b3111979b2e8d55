/** The commands that serve an export, for every engine that is not known to fail on it. */
import type { ServeCommand } from '../../../shared/domain/job.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { ExportPlan } from '../pipeline/export-plan.ts'
import type { KvCacheFormat } from '../quant/formats.ts'
import { engineVerdicts, isMixedExport } from './engine-verdicts.ts'
import { quantAlgorithm, type QuantAlgorithm } from './quant-algo.ts'

/** vLLM's method for each algorithm it accepts; others have none and never reach a command. */
const VLLM_METHODS: Partial<Record<QuantAlgorithm, string>> = {
  FP8: 'modelopt',
  FP8_PER_CHANNEL_PER_TOKEN: 'modelopt',
  fp8_pb_wo: 'modelopt',
  NVFP4: 'modelopt_fp4',
  W4A16_NVFP4: 'modelopt_fp4',
  MXFP8: 'modelopt_mxfp8',
}

const SGLANG_METHODS: Partial<Record<QuantAlgorithm, string>> = {
  FP8: 'modelopt_fp8',
  NVFP4: 'modelopt_fp4',
  W4A16_NVFP4: 'modelopt_fp4',
}

/** Commands for a POSIX shell; `path` is quoted. Engines whose rules say that loading fails are left out. */
export function serveCommands(plan: ExportPlan, model: MoeModel, path: string): readonly ServeCommand[] {
  const [format] = plan.formats.values()
  const algorithm = format === undefined ? undefined : quantAlgorithm(format.format)
  const isMixed = isMixedExport(plan)
  const target = shellQuoted(path)
  const method = (methods: Partial<Record<QuantAlgorithm, string>>, mixed: string | undefined): string => {
    // Engines find compressed-tensors by themselves; naming a ModelOpt method would make them refuse the configuration.
    if (plan.dialect === 'compressed-tensors') return ''
    const name = isMixed ? mixed : algorithm && methods[algorithm]
    return name === undefined ? '' : ` --quantization ${name}`
  }
  const kv = (dtype: string): string => (isFp8Kv(plan.kvCache) ? ` --kv-cache-dtype ${dtype}` : '')
  const commands = {
    vllm: `vllm serve ${target}${method(VLLM_METHODS, 'modelopt_mixed')}${kv('fp8')}`,
    sglang: `python -m sglang.launch_server --model-path ${target}${method(SGLANG_METHODS, undefined)}${kv('fp8_e4m3')}`,
    trtllm: `trtllm-serve ${target}`,
  }
  return engineVerdicts(plan, model)
    .filter(({ verdict }) => verdict !== 'fails')
    .map(({ engine }) => ({ engine, command: commands[engine] }))
}

function isFp8Kv(kv: KvCacheFormat): boolean {
  return kv === 'fp8' || kv === 'fp8_cast'
}

/** `path` as one word of a POSIX shell. */
export function shellQuoted(path: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(path) && !path.startsWith('-')) return path
  return `'${path.replaceAll("'", `'\\''`)}'`
}

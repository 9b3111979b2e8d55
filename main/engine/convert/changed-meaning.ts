/** Conversions that would keep every byte and still change what an engine computes. */
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ModuleFormat } from '../quant/formats.ts'

/** Throws DIALECT_UNSUPPORTED where the target dialect would make an engine treat the inputs of `module` differently. */
export function refuseChangedMeaning(module: string, format: ModuleFormat, target: DialectChoice): void {
  if (target !== 'modelopt') return
  const { format: name, hasDynamicInput } = format
  if (name === 'int8_sq') {
    throw changed(
      module,
      'INT8 inputs quantized per token have no calibrated input_scale, which modelopt stores',
    )
  }
  if ((name === 'fp8_pc_pt' || name === 'mxfp8') && hasDynamicInput !== true) {
    throw changed(module, `${name} means quantized inputs in modelopt, here they are 16 bit`)
  }
}

function changed(subject: string, problem: string): AppError {
  return new AppError('DIALECT_UNSUPPORTED', {
    subject,
    problem,
    remedy:
      'keep this export in the compressed-tensors dialect, or make another one with run --dialect modelopt',
  })
}

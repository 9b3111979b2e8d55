/** Conversions that would keep every byte and still change what an engine computes. */
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { blockSizeOf, weightLayout } from '../quant/layout.ts'

/** Throws DIALECT_UNSUPPORTED where the target dialect would make an engine treat the inputs or blocks of `module` differently. */
export function refuseChangedMeaning(module: string, format: ModuleFormat, target: DialectChoice): void {
  if (target !== 'modelopt') {
    refuseOtherBlocks(module, format)
    return
  }
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

/** Codes are copied, and codes of larger blocks are not those of blocks of 16. */
function refuseOtherBlocks(module: string, format: ModuleFormat): void {
  const isKept = weightLayout(format.format) !== 'nvfp4' || format.format === 'w4a8_nvfp4_fp8'
  if (isKept || blockSizeOf(format) === 16) return
  throw new AppError('DIALECT_UNSUPPORTED', {
    subject: module,
    problem: `its NVFP4 blocks have ${String(blockSizeOf(format))} elements, loaders of compressed-tensors know blocks of 16`,
    remedy: 'make another export with run --dialect compressed-tensors, which quantizes in blocks of 16',
  })
}

function changed(subject: string, problem: string): AppError {
  return new AppError('DIALECT_UNSUPPORTED', {
    subject,
    problem,
    remedy:
      'keep this export in the compressed-tensors dialect, or make another one with run --dialect modelopt',
  })
}

/** ModelOpt's dialect is the internal form: nothing is renamed or rearranged. Source: keys of ModelOpt's unified export. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { storedParts } from '../quant/layout.ts'
import type { Dialect } from './dialect.ts'

export const modelopt: Dialect = {
  name: 'modelopt',
  adopt(module, format) {
    if (format.format !== 'w4a8_int4_fp8') return format
    throw new AppError('DIALECT_UNSUPPORTED', {
      subject: module,
      problem:
        'modelopt: w4a8_int4_fp8 has no counterpart: INT4 with FP8 inputs (W4A8_AWQ) stores one calibrated input scale and a second weight scale there, and no loader reads it',
      remedy: 'use --dialect compressed-tensors, or the recipe int4_blockwise_weight_only',
    })
  },
  adoptKv: (kv) => kv,
  parts: (format, rows, cols, fused) =>
    storedParts(format, rows, cols, fused).map(({ suffix, dtype, shape }) => ({
      role: suffix,
      suffix,
      dtype,
      shape,
      transform: undefined,
    })),
  inputScale: () => ({ suffix: 'input_scale', shape: [], transform: undefined }),
  kvScale: (module, letter) => ({ name: `${module}.${letter}_proj.${letter}_scale`, shape: [] }),
}

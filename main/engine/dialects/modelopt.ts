/** ModelOpt's dialect is the internal form: nothing is renamed or rearranged. Source: keys of ModelOpt's unified export. */
import { storedParts } from '../quant/layout.ts'
import type { Dialect } from './dialect.ts'

export const modelopt: Dialect = {
  name: 'modelopt',
  adopt: (_, format) => format,
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

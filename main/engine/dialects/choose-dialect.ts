/** The dialect of a name, and formats seen through it. */
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import type { KvCacheFormat, ModuleFormat } from '../quant/formats.ts'
import { compressedTensors } from './compressed-tensors.ts'
import type { Dialect } from './dialect.ts'
import { modelopt } from './modelopt.ts'

export function dialectOf(name: DialectChoice): Dialect {
  return name === 'modelopt' ? modelopt : compressedTensors
}

/** Formats of all modules and of the KV cache as `dialect` holds them. Throws DIALECT_UNSUPPORTED for the first that it cannot hold. */
export function adoptFormats<
  T extends { formats: ReadonlyMap<string, ModuleFormat>; kvCache: KvCacheFormat },
>(dialect: Dialect, resolved: T): T {
  const formats = new Map(
    [...resolved.formats].map(([module, format]) => [module, dialect.adopt(module, format)]),
  )
  return { ...resolved, formats, kvCache: dialect.adoptKv(resolved.kvCache) }
}

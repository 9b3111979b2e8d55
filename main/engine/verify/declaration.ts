/** A quantization description in one form, whatever file and dialect it came from. */
import type { KvCacheFormat } from '../quant/formats.ts'
import type { ExpectedUnit } from './expected-model.ts'
import type { Dialect } from './rules/engine-rule.ts'
import type { StoredFormat } from './stored-format.ts'

/** What an exclude list covers. */
export interface IgnoreList {
  readonly entries: readonly string[]
  covers(module: string): boolean
}

export type DeclaredKv = Extract<KvCacheFormat, 'none' | 'fp8' | 'nvfp4'>

export interface Declaration {
  readonly fileName: string
  readonly dialect: Dialect
  /** Upper case; `MIXED_PRECISION` for several; `none` when only the KV cache is quantized. */
  readonly algorithm: string
  readonly kv: DeclaredKv
  /** Every block size given anywhere in the file, without duplicates. */
  readonly groupSizes: readonly number[]
  readonly hasTopLevelGroupSize: boolean
  readonly ignore: IgnoreList
  /** Algorithm and block size by module; undefined unless the precision is mixed. */
  readonly layers: ReadonlyMap<string, string> | undefined
  /** Names that no algorithm is known for. */
  readonly unknownAlgorithms: readonly string[]
  /** Keys that readers of this file demand and that are absent. */
  readonly missingKeys: readonly string[]
  /** What a module is declared to be stored as; undefined = unquantized. */
  formatOf(
    module: string,
    kind: ExpectedUnit['kind'] | 'conv' | 'embedding' | 'router',
  ): StoredFormat | undefined
}

/** Reads test/fixtures/numerics (made by test/tools/make-numeric-fixtures.mjs from the reference set). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ModuleFormat, WeightFormat } from '../../../main/engine/quant/formats.ts'
import type { Bf16Matrix } from '../../../main/engine/quant/matrix.ts'

export interface ExpectedTensor {
  readonly suffix: string
  readonly dtype: string
  readonly shape: readonly number[]
  /** First 128 bits of SHA-256; `cpu` only where the profiles differ. */
  readonly cuda: string
  readonly cpu?: string
}

export interface GoldenCase {
  readonly format: string
  readonly input: string
  readonly tensors: readonly ExpectedTensor[]
}

export interface FusedCase extends GoldenCase {
  readonly rows: readonly [number, number]
  readonly raises?: boolean
}

export interface GroupCase extends GoldenCase {
  readonly group: readonly string[]
  readonly amax?: number
}

export interface StaticCase extends GoldenCase {
  readonly search: 'max' | 'mse_sweep' | 'four_over_six'
  readonly globalAmax: number
  readonly amaxOffset: number
  readonly amaxCount: number
  readonly normaliser: 448 | 256
  readonly squaredError: number
}

const folder = new URL('../../fixtures/numerics/', import.meta.url)
const inputIndex =
  readJson<Record<string, { fileName: string; shape: readonly [number, number] }>>('inputs.json')

export function readBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(fileURLToPath(new URL(name, folder))))
}

export function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(fileURLToPath(new URL(name, folder)), 'utf8'))
}

export function readF32(name: string): Float32Array {
  return new Float32Array(readBytes(name).buffer)
}

export function readInput(name: string): Bf16Matrix {
  const { fileName, shape } = inputIndex[name]
  return { bits: new Uint16Array(readBytes(`inputs/${fileName}`).buffer), rows: shape[0], cols: shape[1] }
}

export const inputNames: readonly string[] = Object.keys(inputIndex)

export function rowsOf(matrix: Bf16Matrix, begin: number, end: number): Bf16Matrix {
  return {
    bits: matrix.bits.slice(begin * matrix.cols, end * matrix.cols),
    rows: end - begin,
    cols: matrix.cols,
  }
}

export function shortHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32)
}

export function f32Bytes(value: number): Uint8Array {
  return new Uint8Array(Float32Array.of(value).buffer)
}

const NAMES: Record<string, { format: WeightFormat; blockSize: number | undefined }> = {
  fp8: { format: 'fp8', blockSize: undefined },
  fp8_pc_pt: { format: 'fp8_pc_pt', blockSize: undefined },
  fp8_pb_wo: { format: 'fp8_pb_wo', blockSize: undefined },
  int8_wo: { format: 'int8_wo', blockSize: undefined },
  int4: { format: 'int4_awq', blockSize: 128 },
  nvfp4: { format: 'nvfp4', blockSize: 16 },
  nvfp4_static: { format: 'nvfp4_static', blockSize: 16 },
  w4a16_nvfp4: { format: 'w4a16_nvfp4', blockSize: 16 },
  w4a16_nvfp4_bs32: { format: 'w4a16_nvfp4', blockSize: 32 },
  w4a8_nvfp4_fp8: { format: 'w4a8_nvfp4_fp8', blockSize: 32 },
  mxfp8: { format: 'mxfp8', blockSize: 32 },
  mxfp4: { format: 'mxfp4', blockSize: 32 },
}

/** Our format for a name of the reference set. */
export function formatOf(name: string): ModuleFormat {
  const known = NAMES[name]
  if (known === undefined) throw new Error(`unknown format ${name}`)
  return { ...known, inputScale: undefined }
}

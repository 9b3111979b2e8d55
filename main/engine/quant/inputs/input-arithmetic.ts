/** How inputs of a linear are rounded at inference, as data. The readable arithmetic is in reference.ts, its graph in calibration/fake-quant. */

export type InputArithmetic =
  /** E4M3 or INT8 with one stored scale. */
  | { readonly kind: 'fp8_tensor' | 'int8_tensor' }
  /** E4M3 or INT8 with a scale of its own for every row. */
  | { readonly kind: 'fp8_token' | 'int8_token' }
  /** E4M3 with a scale for every `blockSize` columns of a row. */
  | { readonly kind: 'fp8_group'; readonly blockSize: number }
  /** E2M1 blocks whose E4M3 scales are relative to a stored scale. */
  | { readonly kind: 'nvfp4'; readonly blockSize: number }
  /** E4M3 or E2M1 blocks with powers of two as scales. */
  | { readonly kind: 'mxfp8' | 'mxfp4'; readonly blockSize: number }

/** True where the export stores a scale for the inputs. */
export function usesStoredScale({ kind }: InputArithmetic): boolean {
  return kind === 'fp8_tensor' || kind === 'int8_tensor' || kind === 'nvfp4'
}

/** Equal for equal arithmetic; part of graph names. */
export function arithmeticKey(arithmetic: InputArithmetic): string {
  return 'blockSize' in arithmetic ? `${arithmetic.kind}/${String(arithmetic.blockSize)}` : arithmetic.kind
}

/** What `verify --receipt` found. Plain data, JSON safe. */
export interface ReceiptMismatch {
  readonly kind: 'tensor' | 'file' | 'recipe' | 'source'
  /** Tensor, file, or file and range. */
  readonly subject: string
  readonly message: string
}

export interface ReceiptCheck {
  /** Every hash is that of the receipt, and nothing is there that it does not know. */
  readonly isIntact: boolean
  readonly tensorCount: number
  readonly fileCount: number
  /** Ranges of the source that were hashed; 0 = no source was given, or the receipt has none. */
  readonly sourceRangeCount: number
  /** At most MISMATCHES_KEPT; all are counted. */
  readonly mismatches: readonly ReceiptMismatch[]
  readonly mismatchCount: number
}

export const MISMATCHES_KEPT = 100

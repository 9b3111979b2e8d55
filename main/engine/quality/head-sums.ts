/** Puts the next-token distributions of two models together from parts of the vocabulary, row by row, in f64. */

/** Of one model: f32 [rows] each, `place` counted within the part. */
export interface SidePart {
  readonly maximum: Float32Array
  readonly sum: Float32Array
  readonly chosen: Float32Array
  readonly place: Int32Array
}

export interface PairPart {
  readonly a: SidePart
  readonly b: SidePart
  /** Σ exp(logit a − maximum a) · (logit a − logit b) over the part. */
  readonly weighted: Float32Array
}

/** Of one row. */
export interface HeadRow {
  /** Negative log-likelihood of the target under each model, in nats. */
  readonly lossA: number
  readonly lossB: number
  /** KL(a ‖ b) in nats. */
  readonly divergence: number
  readonly isSameChoice: boolean
}

export class HeadSums {
  private readonly a: SideSums
  private readonly b: SideSums
  private readonly weighted: Float64Array

  constructor(rows: number) {
    this.a = new SideSums(rows)
    this.b = new SideSums(rows)
    this.weighted = new Float64Array(rows)
  }

  /** Rows from `firstRow` on against the part of the vocabulary from `firstToken` on; `isHere` = the target is in it. */
  add(firstRow: number, firstToken: number, isHere: readonly boolean[], part: PairPart): void {
    for (const [index, here] of isHere.entries()) {
      const row = firstRow + index
      const [old, fresh] = this.a.add(row, index, firstToken, here, part.a)
      this.weighted[row] = (this.weighted[row] ?? 0) * old + (part.weighted[index] ?? 0) * fresh
      this.b.add(row, index, firstToken, here, part.b)
    }
  }

  /** Of a row to which every part of the vocabulary was added. */
  row(row: number): HeadRow {
    const logSumA = this.a.logSum(row)
    const logSumB = this.b.logSum(row)
    return {
      lossA: logSumA - (this.a.chosen[row] ?? 0),
      lossB: logSumB - (this.b.chosen[row] ?? 0),
      divergence: (this.weighted[row] ?? 0) / (this.a.sum[row] ?? 0) - (logSumA - logSumB),
      isSameChoice: this.a.place[row] === this.b.place[row],
    }
  }
}

class SideSums {
  /** Σ exp(logit − maximum) over what was added so far. */
  readonly sum: Float64Array
  readonly chosen: Float64Array
  /** Token with the largest logit; the first of equals. */
  readonly place: Int32Array
  private readonly maximum: Float64Array

  constructor(rows: number) {
    this.sum = new Float64Array(rows)
    this.chosen = new Float64Array(rows)
    this.place = new Int32Array(rows)
    this.maximum = new Float64Array(rows).fill(-Infinity)
  }

  /** Returns what sums relative to the old maximum and to the part's have to be multiplied by. */
  add(
    row: number,
    index: number,
    firstToken: number,
    isHere: boolean,
    part: SidePart,
  ): readonly [number, number] {
    const before = this.maximum[row] ?? -Infinity
    const own = part.maximum[index] ?? -Infinity
    const maximum = Math.max(before, own)
    const factors = [Math.exp(before - maximum), Math.exp(own - maximum)] as const
    this.sum[row] = (this.sum[row] ?? 0) * factors[0] + (part.sum[index] ?? 0) * factors[1]
    if (own > before) this.place[row] = firstToken + (part.place[index] ?? 0)
    if (isHere) this.chosen[row] = part.chosen[index] ?? 0
    this.maximum[row] = maximum
    return factors
  }

  logSum(row: number): number {
    return (this.maximum[row] ?? 0) + Math.log(this.sum[row] ?? 0)
  }
}

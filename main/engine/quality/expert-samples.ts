/**
 * Inputs and outputs of the experts of one layer of the original model: the first tokens of each. The quantized expert is run on the same
 * inputs, so that its error is its own and not that of the layers before.
 */
import type { ExpertQuality } from '../../../shared/domain/quality-report.ts'
import type { ExpertProbe, ExpertWatch } from '../calibration/layer-pass.ts'
import { ErrorSums } from './error-sums.ts'

/** Samples of all experts of a layer at most; inputs and outputs. */
export const SAMPLE_BYTES = 128 * 1024 * 1024
const MAX_ROWS = 64
const MIN_ROWS = 4

/** Tokens of each expert that are kept. */
export function sampleRows(expertCount: number, hiddenSize: number): number {
  const fitting = Math.floor(SAMPLE_BYTES / (expertCount * hiddenSize * 8))
  return Math.min(MAX_ROWS, Math.max(MIN_ROWS, fitting))
}

interface Sample {
  readonly inputs: Float32Array<ArrayBuffer>
  readonly outputs: Float32Array<ArrayBuffer>
  length: number
}

export class ExpertSamples implements ExpertProbe, ExpertWatch {
  readonly rowLimit: number
  private readonly limit: number
  private readonly samples = new Map<number, Sample>()
  private readonly results: ExpertQuality[] = []
  private readonly hiddenSize: number
  private divisors: Float32Array | undefined

  constructor(expertCount: number, hiddenSize: number, rowLimit: number) {
    this.hiddenSize = hiddenSize
    this.rowLimit = rowLimit
    this.limit = sampleRows(expertCount, hiddenSize) * hiddenSize
  }

  wantedRows(expert: number): number {
    return (this.limit - (this.samples.get(expert)?.length ?? 0)) / this.hiddenSize
  }

  restart(): void {
    this.samples.clear()
  }

  /** Of the original; f32 [rows, H] each. */
  watch(expert: number, inputs: Float32Array, outputs: Float32Array): void {
    const sample = this.samples.get(expert) ?? {
      inputs: new Float32Array(this.limit),
      outputs: new Float32Array(this.limit),
      length: 0,
    }
    this.samples.set(expert, sample)
    const count = Math.min(inputs.length, this.limit - sample.length)
    sample.inputs.set(inputs.subarray(0, count), sample.length)
    sample.outputs.set(outputs.subarray(0, count), sample.length)
    sample.length += count
  }

  /** f32 [H] that the quantized experts want their inputs divided by; undefined = nothing. */
  divideInputs(divisors: Float32Array | undefined): void {
    this.divisors = divisors
  }

  inputsOf(expert: number): Float32Array<ArrayBuffer> | undefined {
    const sample = this.samples.get(expert)
    const inputs = sample?.inputs.subarray(0, sample.length)
    const { divisors, hiddenSize } = this
    if (divisors === undefined) return inputs
    return inputs?.map((input, place) => input / (divisors[place % hiddenSize] ?? 1))
  }

  take(expert: number, outputs: Float32Array): void {
    const sample = this.samples.get(expert)
    if (sample === undefined) return
    const sums = new ErrorSums()
    sums.add(sample.outputs.subarray(0, sample.length), outputs)
    this.results.push({ expertIndex: expert, tokens: sample.length / this.hiddenSize, ...sums.measure() })
  }

  /** Ascending; experts that had tokens. */
  measures(): readonly ExpertQuality[] {
    return this.results.toSorted((a, b) => a.expertIndex - b.expertIndex)
  }
}

/** A comparison as the report that is written and printed. */
import type {
  ExpertInputArithmetic,
  LayerQuality,
  QualityReport,
} from '../../../shared/domain/quality-report.ts'
import type { HeadComparison } from './compare-heads.ts'
import { notFinite } from './quality-stream.ts'

/** Throws QUALITY_NOT_FINITE when the quantized model predicts nothing that is a number. */
export function qualityReport(
  { tokens, original, quantized, klMean, top1Agreement }: HeadComparison,
  layers: readonly LayerQuality[],
  windows: number,
  expertInputs: ExpertInputArithmetic,
): QualityReport {
  if (!Number.isFinite(quantized.nllMean + klMean)) {
    throw notFinite('lm_head', 'the loss of the quantized model is not a finite number')
  }
  return { windows, tokens, original, quantized, klMean, top1Agreement, layers, expertInputs }
}

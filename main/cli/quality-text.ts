/** A measured quality in a few lines. */
import {
  predictionQuality,
  type ExpertQuality,
  type LayerQuality,
  type QualityReport,
} from '../../shared/domain/quality-report.ts'

const WORST_EXPERTS = 3

/** Lines without indentation; perplexities, divergence, and where the error is largest. */
export function qualityText(quality: QualityReport): readonly string[] {
  const { layers } = quality
  const lines = predictionText(quality)
  const [last] = layers.slice(-1)
  if (last !== undefined) {
    lines.push(
      `after the last layer: relative error ${percent(last.relativeError)}, cosine ${last.cosine.toFixed(5)}`,
    )
  }
  for (const { layerIndex, expertIndex, relativeError, cosine, tokens: seen } of worstExperts(layers)) {
    lines.push(
      `layer ${String(layerIndex)} expert ${String(expertIndex)}: relative error ${percent(relativeError)}, cosine ${cosine.toFixed(5)} on ${String(seen)} tokens`,
    )
  }
  return lines
}

function predictionText(quality: QualityReport): string[] {
  const prediction = predictionQuality(quality)
  const { tokens, windows, availableWindows } = quality
  const of = availableWindows === undefined ? '' : ` of ${String(availableWindows)}`
  if (prediction === undefined) return [`measured on ${String(windows)}${of} windows`]
  const { original, quantized, klMean, top1Agreement } = prediction
  const change = 100 * (quantized.perplexity / original.perplexity - 1)
  const sign = change < 0 ? '' : '+'
  return [
    `perplexity ${original.perplexity.toPrecision(6)} -> ${quantized.perplexity.toPrecision(6)} (${sign}${change.toFixed(2)} %) over ${String(tokens)} tokens in ${String(windows)}${of} windows`,
    `divergence ${klMean.toPrecision(4)} nats per token, same first choice for ${(100 * top1Agreement).toFixed(2)} %`,
  ]
}

function worstExperts(
  layers: readonly LayerQuality[],
): readonly (ExpertQuality & { readonly layerIndex: number })[] {
  return layers
    .flatMap(({ layerIndex, experts }) => experts.map((expert) => ({ layerIndex, ...expert })))
    .sort((a, b) => b.relativeError - a.relativeError)
    .slice(0, WORST_EXPERTS)
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}

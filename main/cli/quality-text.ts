/** A measured quality in a few lines. */
import type { ExpertQuality, LayerQuality, QualityReport } from '../../shared/domain/quality-report.ts'

const WORST_EXPERTS = 3

/** Lines without indentation; perplexities, divergence, and where the error is largest. */
export function qualityText({
  original,
  quantized,
  klMean,
  top1Agreement,
  tokens,
  windows,
  layers,
}: QualityReport): readonly string[] {
  const change = 100 * (quantized.perplexity / original.perplexity - 1)
  const sign = change < 0 ? '' : '+'
  const lines = [
    `perplexity ${original.perplexity.toPrecision(6)} -> ${quantized.perplexity.toPrecision(6)} (${sign}${change.toFixed(2)} %) over ${String(tokens)} tokens in ${String(windows)} windows`,
    `divergence ${klMean.toPrecision(4)} nats per token, same first choice for ${(100 * top1Agreement).toFixed(2)} %`,
  ]
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

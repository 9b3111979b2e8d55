/** What quantization cost: perplexity before and after, error by layer, map of experts, the worst of them. */
import { largestValues, qualityRows, summariseRows } from '../../../../shared/domain/expert-rows.ts'
import { formatNumber } from '../../../../shared/domain/format-text.ts'
import type { ExportReport } from '../../../../shared/domain/export-report.ts'
import {
  predictionQuality,
  type LayerQuality,
  type QualityReport,
} from '../../../../shared/domain/quality-report.ts'
import { mapWithLegend } from './map-section.ts'
import { html, type Markup } from './markup.ts'

const WORST_COUNT = 20

const number = (value: number, digits: number): string => formatNumber(value, digits, 'en')

export function qualitySections({ quality, source }: ExportReport): readonly Markup[] {
  if (quality === undefined) {
    return [
      html`<section>
        <h2>Quality</h2>
        <p class="muted">
          Not measured in this run: the errors of layers and experts and the perplexity are unknown.
        </p>
      </section>`,
    ]
  }
  return [
    html`<section>
      <h2>Perplexity</h2>
      ${textQuality(quality)}
    </section>`,
    layerErrors(quality.layers),
    expertErrors(quality, source.layerCount, source.expertCount),
  ]
}

function textQuality(quality: QualityReport): Markup {
  const prediction = predictionQuality(quality)
  const { tokens, windows, availableWindows } = quality
  const of = availableWindows === undefined ? '' : ` of ${number(availableWindows, 0)}`
  const measured = `${number(windows, 0)}${of} windows`
  if (prediction === undefined) {
    return html`<p class="muted">
      Not measured in this run: only the errors of layers and experts were, on ${measured}.
    </p>`
  }
  const { original, quantized, klMean, top1Agreement } = prediction
  const rows: readonly (readonly [string, string])[] = [
    ['perplexity before', number(original.perplexity, 4)],
    ['perplexity after', number(quantized.perplexity, 4)],
    ['change', `${number(100 * (quantized.perplexity / original.perplexity - 1), 2)} %`],
    ['KL divergence, nats', number(klMean, 5)],
    ['same most likely token', `${number(100 * top1Agreement, 2)} %`],
    ['measured on', `${number(tokens, 0)} tokens in ${measured}`],
  ]
  return html`<table>
    ${rows.map(
      ([name, value]) =>
        html`<tr>
          <td>${name}</td>
          <td class="n">${value}</td>
        </tr>`,
    )}
  </table>`
}

/** One column a layer on one scale from zero. */
function layerErrors(layers: readonly LayerQuality[]): Markup {
  if (layers.length === 0) return html``
  const most = Math.max(...layers.map(({ relativeError }) => relativeError), Number.MIN_VALUE)
  const columns = layers.map(({ relativeError, layerIndex, cosine }, index) => {
    const height = Math.max(0, Math.min(100, (100 * relativeError) / most))
    return html`<rect
      class="bar"
      x="${index}"
      y="${(100 - height).toFixed(2)}"
      width=".8"
      height="${height.toFixed(2)}"
    >
      <title>
        layer ${layerIndex}: relative error ${relativeError.toPrecision(3)}, cosine ${cosine.toPrecision(5)}
      </title>
    </rect>`
  })
  return html`<section>
    <h2>Relative error by layer</h2>
    <svg
      role="img"
      aria-label="relative error of each layer"
      viewBox="0 0 ${layers.length} 100"
      height="140"
      preserveAspectRatio="none"
    >
      ${columns}
    </svg>
    <p class="axis">
      <span>layer ${layers[0]?.layerIndex ?? 0}</span><span>largest ${most.toPrecision(3)}</span
      ><span>layer ${layers.at(-1)?.layerIndex ?? 0}</span>
    </p>
  </section>`
}

function expertErrors({ layers }: QualityReport, layerCount: number, expertCount: number): Markup {
  const expertError = qualityRows(layers, layerCount, expertCount, 'relativeError')
  const expertCosine = qualityRows(layers, layerCount, expertCount, 'cosine')
  const summary = summariseRows(expertError)
  if (summary.count === 0) return html``
  const worst = largestValues(expertError, WORST_COUNT).map(({ layerIndex, expertIndex, value }) => {
    const cosine = expertCosine[layerIndex]?.[expertIndex]
    return html`<tr>
      <td class="n">${layerIndex}</td>
      <td class="n">${expertIndex}</td>
      <td class="n">${value.toPrecision(3)}</td>
      <td class="n">${typeof cosine === 'number' ? cosine.toPrecision(5) : 'not measured'}</td>
    </tr>`
  })
  return html`<section>
      <h2>Relative error by expert</h2>
      ${mapWithLegend({
        rows: expertError,
        columnCount: expertCount,
        maximum: summary.most,
        scale: 'linear',
        label: 'relative error of each expert, layers from top to bottom',
        least: summary.least.toPrecision(3),
        most: summary.most.toPrecision(3),
        zeroLabel: 'no error',
      })}
    </section>
    <section>
      <h2>Worst experts</h2>
      <table>
        <tr>
          <th class="n">Layer</th>
          <th class="n">Expert</th>
          <th class="n">Relative error</th>
          <th class="n">Cosine</th>
        </tr>
        ${worst}
      </table>
    </section>`
}

/** The page must stay one harmless file whatever names a checkpoint brings, and stay small for the largest model. */
import { expect, test } from 'vitest'
import { escapeText, html } from '../../../../../../main/engine/export/report/markup.ts'
import { mapSvg } from '../../../../../../main/engine/export/report/map-svg.ts'
import { reportPage } from '../../../../../../main/engine/export/report/report-page.ts'
import type { ExportReport } from '../../../../../../shared/domain/export-report.ts'

const HOSTILE = `</title></style><script>alert(1)</script><img src=x onerror='x' data-y="z">\u202Egnp.exe\u0000`
const ESCAPED =
  '&lt;/title&gt;&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&#39;x&#39; data-y=&quot;z&quot;&gt;\\u{202E}gnp.exe\\u{0000}'

function report(name: string, layerCount: number, expertCount: number): ExportReport {
  const rows = (scale: number): readonly (readonly number[])[] =>
    Array.from({ length: layerCount }, (_, layer) =>
      Array.from({ length: expertCount }, (__, expert) => ((layer * 7919 + expert * 104729) % 997) * scale),
    )
  const finding = { code: name, subject: name, message: name }
  return {
    schema: 1,
    producer: { name, version: name },
    source: { name, architecture: name, layerCount, expertCount, topK: 8, sizeBytes: 2_000_000 },
    export: {
      name,
      recipe: name,
      profile: name,
      dialect: name,
      kvCache: name,
      sizeBytes: 1_000_000,
      bitsPerWeight: 4.51,
      tensorCount: 10,
      quantizedTensorCount: 5,
      byFormat: [{ format: name, tensorCount: 1, sourceBytes: 2, outputBytes: 1 }],
    },
    calibration: {
      tokenCount: 65_536,
      device: name,
      notices: [name],
      expertTokens: rows(1),
      expertAmax: rows(0.01),
      uncoveredExperts: [{ layerIndex: 0, expertIndex: 0, fallback: name }],
    },
    findings: [finding],
    repairs: [finding],
    serveCommands: [{ engine: 'vllm', command: name }],
    quality: {
      windows: 2,
      tokens: 1022,
      original: { nllMean: 2.0873, perplexity: 8.0625 },
      quantized: { nllMean: 2.1102, perplexity: 8.25 },
      klMean: 0.0123,
      top1Agreement: 0.96875,
      expertInputs: 'layer_max',
      layers: rows(0.0001).map((errors, layerIndex) => ({
        layerIndex,
        relativeError: 0.01 * layerIndex,
        cosine: 0.999,
        experts: errors.map((relativeError, expertIndex) => ({
          expertIndex,
          tokens: 3,
          relativeError,
          cosine: 0.999,
        })),
      })),
    },
    verification: {
      scope: 'source',
      isSound: false,
      dialect: name,
      algorithm: name,
      kvCache: name,
      exportRulesVersion: 1,
      engineRulesVersion: 1,
      tensorCount: 1,
      tensorBytes: 1,
      layerCount,
      expertCount,
      quantizedMatrixCount: 1,
      expectedQuantizedBytes: 1,
      actualQuantizedBytes: 1,
      comparedMatrixCount: 1,
      rules: [
        { id: 'scale.nan', title: name, severity: 'error', origin: name, state: 'broken', findingCount: 1 },
      ],
      findings: [{ rule: 'scale.nan', severity: 'error', subject: name, message: name }],
      engines: [{ engine: 'vllm', verdict: 'loads', reason: name }],
      tensorParallel: [],
      errors: [{ format: name, matrixCount: 1, relativeError: 0.1, largestShareOfBound: 0.5, bound: name }],
    },
  }
}

test('nothing of a hostile name becomes markup, in whatever field it stands', () => {
  const page = reportPage(report(HOSTILE, 2, 4))
  expect(page).not.toContain('<script')
  expect(page).not.toContain('<img')
  expect(page.match(/<\/title>/g)).toHaveLength(1 + 2) // the page's own and one tooltip for each of two layers
  expect(page.match(/<\/style>/g)).toHaveLength(1)
  // Title and heading 2, line below 4, facts 3, format 1, notice 1, fallback 1, findings and repairs 6, verification 5, command 1, producer 2.
  expect(page.split(ESCAPED)).toHaveLength(26 + 1)
  expect(page).not.toMatch(/[\u202e\u0000]/)
})

test('the page neither loads nor runs anything', () => {
  const page = reportPage(report('export', 2, 4))
  expect(page).toContain(`content="default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;"`)
  expect(page).not.toMatch(/<(script|link|iframe|object|embed)|\b(src|href)=|url\(|@import|\bon[a-z]+=/i)
})

test('both themes are in the file', () => {
  expect(reportPage(report('export', 2, 4))).toContain('@media (prefers-color-scheme:dark)')
})

test('60 layers x 512 experts with every map stay below 2 MB', () => {
  const page = reportPage(report('export', 60, 512))
  expect(new TextEncoder().encode(page).length).toBeLessThan(2_000_000)
})

test('perplexity before and after and its change are in the page', () => {
  const page = reportPage(report('export', 2, 4))
  expect(page).toMatch(/perplexity before<\/td>\s*<td class="n">8\.0625</)
  expect(page).toMatch(/perplexity after<\/td>\s*<td class="n">8\.25</)
  expect(page).toMatch(/change<\/td>\s*<td class="n">2\.33 %</)
})

test('what was not measured is said, not shown as zero', () => {
  const { quality: _quality, verification: _verification, ...rest } = report('export', 2, 4)
  const page = reportPage({ ...rest, calibration: { ...rest.calibration, expertTokens: [null, null] } })
  expect(page).toContain('Not measured in this run')
  expect(page).toContain('No token counts')
  expect(page).toContain('Not verified.')
  expect(page).not.toContain('class="map"')
})

test('a map draws neighbours of one colour as one stroke and leaves out what was not measured', () => {
  const map = mapSvg({
    rows: [[0, 0, 16, null], null, [1, 16, 16, 16]],
    columnCount: 4,
    maximum: 16,
    scale: 'linear',
    label: 'a "map"',
  })
  expect([...map.text.matchAll(/class="(\w+)" d="([^"]+)"/g)].map(([, step, path]) => [step, path])).toEqual([
    ['z', 'm0 0h2'],
    ['s15', 'm2 0h1m-2 2h3'],
    ['s1', 'm0 2h1'],
  ])
  expect(map.text).toContain('aria-label="a &quot;map&quot;"')
})

test('markup: strings are escaped, markup is not, lists are joined, undefined is nothing', () => {
  expect(html`<p>${'a&b'}${undefined}${[html`<b>${1}</b>`, '<']}</p>`.text).toBe('<p>a&amp;b<b>1</b>&lt;</p>')
})

test('lone surrogates and bidirectional controls become visible', () => {
  expect(escapeText('a\ud800b\u2066c😀')).toBe('a\\u{D800}b\\u{2066}c😀')
})

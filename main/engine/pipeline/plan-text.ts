/** A plan summary as text for a terminal. */
import { formatBytes, formatDuration, formatNumber } from '../../../shared/domain/format-text.ts'
import type { EngineVerdict, PlanSummary } from '../../../shared/domain/plan-summary.ts'

const ENGINE_NAMES = { vllm: 'vLLM', sglang: 'SGLang', trtllm: 'TensorRT-LLM' } as const
const SHOWN_SHARDS = 3

export function planText(summary: PlanSummary): string {
  const bytes = (value: number): string => formatBytes(value, 'en')
  const share = formatNumber((100 * summary.outputBytes) / Math.max(1, summary.sourceBytes), 1, 'en')
  const rows: readonly (readonly [string, string])[] = [
    ['profile', `${summary.profile}, dialect ${summary.dialect}, KV cache ${summary.kvCache}`],
    ['size', `${bytes(summary.sourceBytes)} -> ${bytes(summary.outputBytes)} (${share} %)`],
    ['weights', `${formatNumber(summary.bitsPerWeight, 2, 'en')} bits per weight over the whole model`],
    ['tensors', `${formatNumber(summary.tensorCount, 0, 'en')} in ${shardText(summary)}`],
    ['data', dataText(summary)],
    ...smoothingRows(summary),
    ['memory', `${bytes(summary.peakMemoryBytes)} at most, estimated`],
    ['disk', diskText(summary)],
    ...(summary.estimatedDurationMs === undefined
      ? []
      : [['time', `about ${formatDuration(summary.estimatedDurationMs, 'en')}, a rough estimate`] as const]),
  ]
  const lines = [
    summary.recipe,
    ...rows.map(([label, value]) => `  ${label.padEnd(11)}${value}`),
    '',
    `  ${'format'.padEnd(22)}${'matrices'.padStart(10)}${'before'.padStart(12)}${'after'.padStart(12)}`,
    ...summary.byFormat.map(
      ({ format, tensorCount, sourceBytes, outputBytes }) =>
        `  ${format.padEnd(22)}${formatNumber(tensorCount, 0, 'en').padStart(10)}${bytes(sourceBytes).padStart(12)}${bytes(outputBytes).padStart(12)}`,
    ),
    '',
    ...summary.engines.map(
      ({ engine, verdict, reason, wayOut }) =>
        `  ${ENGINE_NAMES[engine].padEnd(14)}${verdict.padEnd(9)}${reason}${wayOutText(wayOut)}`,
    ),
  ]
  if (summary.warnings.length > 0) {
    lines.push('', '  warnings', ...summary.warnings.map((warning) => `    ${warning}`))
  }
  return lines.join('\n')
}

function wayOutText(wayOut: EngineVerdict['wayOut']): string {
  if (wayOut === undefined) return ''
  return `; with --dialect ${wayOut.dialect} it loads${wayOut.verdict === 'warns' ? ', with a warning' : ''}`
}

function shardText({ shards }: PlanSummary): string {
  const names = shards.slice(0, SHOWN_SHARDS).map(({ fileName }) => fileName)
  const more = shards.length > SHOWN_SHARDS ? ', ...' : ''
  return `${String(shards.length)} file(s): ${names.join(', ')}${more}`
}

function smoothingRows({ smoothing }: PlanSummary): readonly (readonly [string, string])[] {
  if (smoothing === undefined) return []
  const { method, rewrittenCount, leftAlone } = smoothing
  const alone = leftAlone.length === 0 ? '' : `; inputs of ${leftAlone.join(', ')} left alone`
  const rewritten = `${formatNumber(rewrittenCount, 0, 'en')} unquantized tensors are rewritten`
  return [['channels', `rescaled by ${method}, ${rewritten}${alone}`]]
}

function dataText({ needsCalibration, calibrationSiteCount, calibration }: PlanSummary): string {
  const amount =
    calibration === undefined
      ? ''
      : ` from ${String(calibration.samples)} sequences of ${String(calibration.sequenceLength)} tokens`
  return needsCalibration
    ? `calibration needed, ${String(calibrationSiteCount)} statistics${amount}`
    : 'none needed, everything follows from the weights'
}

function diskText({ outputBytes, scratchBytes, freeDiskBytes }: PlanSummary): string {
  const scratch = scratchBytes > 0 ? ` and ${formatBytes(scratchBytes, 'en')} while calibrating` : ''
  const needed = `${formatBytes(outputBytes, 'en')}${scratch}`
  return freeDiskBytes === undefined
    ? `${needed} needed`
    : `${needed} needed, ${formatBytes(freeDiskBytes, 'en')} free`
}

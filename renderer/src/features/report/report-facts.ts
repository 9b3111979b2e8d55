/** The numbers of a report that stand in a row at the top. Pure. */
import { formatBytes, formatDuration, formatNumber } from '../../../../shared/domain/format-text.ts'
import { text } from '../../locales/en.ts'
import type { ShownReport } from './shown-report.ts'

export interface ReportFact {
  readonly name: string
  readonly value: string
  readonly detail: string
}

export function reportFacts(report: ShownReport): readonly ReportFact[] {
  const words = text.report.facts
  const common = [
    {
      name: words.tensors,
      value: formatNumber(report.tensorCount),
      detail: words.quantized(report.quantizedTensorCount),
    },
    {
      name: words.tokens,
      value: report.calibratedTokens === 0 ? words.noTokens : words.tokenUnit(report.calibratedTokens),
      detail: words.device(report.device),
    },
  ]
  return [...common, ...(report.run === undefined ? exportFacts(report) : runFacts(report.run))]
}

function runFacts(run: NonNullable<ShownReport['run']>): readonly ReportFact[] {
  const words = text.report.facts
  return [
    { name: words.duration, value: formatDuration(run.durationMs), detail: words.workers(run.workers) },
    {
      name: words.read,
      value: formatBytes(run.bytesRead),
      detail: run.sourceBytes === 0 ? '' : words.readDetail(run.bytesRead / run.sourceBytes),
    },
    { name: words.memory, value: formatBytes(run.peakResidentBytes), detail: words.memoryDetail },
  ]
}

function exportFacts({ bitsPerWeight, expertCount, uncoveredExperts }: ShownReport): readonly ReportFact[] {
  const words = text.report.facts
  return [
    {
      name: words.bits,
      value: bitsPerWeight === undefined ? '–' : formatNumber(bitsPerWeight, 2),
      detail: words.bitsDetail,
    },
    {
      name: words.experts,
      value: formatNumber(expertCount),
      detail: words.uncovered(uncoveredExperts.length),
    },
  ]
}

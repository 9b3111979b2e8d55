/** The numbers of a report that stand in a row at the top. Pure. */
import { formatBytes, formatDuration, formatNumber } from '../../../../shared/domain/format-text.ts'
import type { RunReport } from '../../../../shared/domain/job.ts'
import { text } from '../../locales/en.ts'

export interface ReportFact {
  readonly name: string
  readonly value: string
  readonly detail: string
}

export function reportFacts(report: RunReport): readonly ReportFact[] {
  const words = text.report.facts
  return [
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
    {
      name: words.duration,
      value: formatDuration(report.durationMs),
      detail: words.workers(report.workers),
    },
    {
      name: words.read,
      value: formatBytes(report.bytesRead),
      detail: report.sourceBytes === 0 ? '' : words.readDetail(report.bytesRead / report.sourceBytes),
    },
    { name: words.memory, value: formatBytes(report.peakResidentBytes), detail: words.memoryDetail },
  ]
}

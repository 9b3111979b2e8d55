/** A checkpoint summary as text for a terminal. */
import type { CheckpointSummary } from '../../../shared/domain/checkpoint-summary.ts'
import { formatBytes, formatNumber } from '../../../shared/domain/format-text.ts'

/** Lines without a final newline: what it is, layout, bytes by role (largest first), problems. Sizes in binary units. */
export function inspectText(summary: CheckpointSummary): string {
  const full = summary.layerKinds.filter((kind) => kind === 'full_attention').length
  const rows: readonly (readonly [string, string])[] = [
    ['family', `${summary.family} (${summary.architecture}), tensors under ${summary.prefix}.`],
    [
      'size',
      `${formatBytes(summary.totalBytes, 'en')}, ${formatNumber(summary.parameterCount, 0, 'en')} parameters, ${formatNumber(summary.tensorCount, 0, 'en')} tensors in ${String(summary.shards.length)} shard(s)`,
    ],
    [
      'layers',
      `${String(summary.layerCount)}: ${String(summary.layerCount - full)} linear attention, ${String(full)} full attention; hidden size ${String(summary.hiddenSize)}`,
    ],
    [
      'experts',
      `${String(summary.expertCount)} per layer, top ${String(summary.topK)}, width ${String(summary.expertWidth)}, stored ${summary.expertLayout === 'fused' ? 'fused' : 'one by one'}`,
    ],
    [
      'MTP',
      summary.mtpLayout === 'none'
        ? 'none'
        : `carried over unchanged (experts ${summary.mtpLayout === 'fused' ? 'fused' : 'one by one'})`,
    ],
    ['vision', summary.hasVision ? 'carried over unchanged' : 'none'],
    ['tokenizer', summary.hasTokenizer ? 'present' : 'missing'],
  ]
  const lines = [
    summary.displayPath,
    ...rows.map(([label, value]) => `  ${label.padEnd(11)}${value}`),
    '',
    '  bytes by role',
  ]
  for (const { role, sizeBytes, tensorCount } of summary.bytesByRole) {
    const share = formatNumber((100 * sizeBytes) / summary.totalBytes, 1, 'en')
    lines.push(
      `    ${role.padEnd(18)}${formatBytes(sizeBytes, 'en').padStart(10)} ${`${share} %`.padStart(8)}  ${String(tensorCount)} tensors`,
    )
  }
  if (summary.problems.length > 0) {
    lines.push('', '  problems')
    for (const { severity, subject, message } of summary.problems)
      lines.push(`    ${severity}: ${subject}: ${message}`)
  }
  return lines.join('\n')
}

/** The index against the shards. */
import { formatBytes } from '../../../shared/domain/format-text.ts'
import type { Findings } from './findings.ts'
import { INDEX_FILE, type OpenedExport } from './open-export.ts'

/** Index against shards. */
export function checkIndex(opened: OpenedExport, findings: Findings): void {
  const { checkpoint, indexProblems, hasIndex, declaredTotalBytes } = opened
  for (const { code, subject, problem } of indexProblems) {
    findings.add(code === 'INDEX_INVALID' ? 'index.complete' : 'index.resolvable', subject, problem)
  }
  if (!hasIndex) {
    if (checkpoint.shards.length > 1)
      findings.add('index.complete', INDEX_FILE, 'there are several shards and no index')
    else
      for (const rule of ['index.resolvable', 'index.complete', 'index.total-size'] as const)
        findings.skip(rule)
    return
  }
  const actual = checkpoint.totalTensorBytes
  if (indexProblems.length > 0 || declaredTotalBytes === undefined) findings.skip('index.total-size')
  else if (declaredTotalBytes !== actual) {
    const problem = `total_size is ${String(declaredTotalBytes)}, the tensors have ${String(actual)} bytes (${formatBytes(actual, 'en')})`
    findings.add('index.total-size', INDEX_FILE, problem)
  }
}

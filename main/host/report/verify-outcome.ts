import type { VerifyOutcome, VerifyScope } from '../../../shared/domain/export-report.ts'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'

/** What a report keeps of a verification: everything but the paths of this machine. */
export function verifyOutcome(report: VerifyReport, scope: VerifyScope): VerifyOutcome {
  const { displayPath: _displayPath, sourcePath: _sourcePath, ...outcome } = report
  return { ...outcome, scope }
}

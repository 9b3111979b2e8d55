/** `report.json` and `report.html` in the own folder of an export. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import {
  REPORT_FILE,
  REPORT_PAGE_FILE,
  type ExportReport,
  type VerifyOutcome,
} from '../../../shared/domain/export-report.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { reportPage } from '../../engine/export/report/report-page.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import { writeSmallFile } from '../jobs/output-folder.ts'
import { exportReportSchema } from './report-schema.ts'

/** The folder that a run leaves inside an export. */
const OWN_FOLDER = 'quantmill'
/** CWE-770: a report of the largest models has about 4 MB. */
const MAX_REPORT_BYTES = 64 * 1024 * 1024

/** Writes both forms, replacing older ones. Throws DISK_FULL, PERMISSION_DENIED, WRITE_FAILED. */
export async function writeReports(exportPath: string, report: ExportReport): Promise<void> {
  const own = join(exportPath, OWN_FOLDER)
  await writeSmallFile(join(own, REPORT_FILE), `${JSON.stringify(report)}\n`)
  await writeSmallFile(join(own, REPORT_PAGE_FILE), reportPage(report))
}

/** Throws REPORT_INVALID when there is none, or one that this version cannot read. */
export async function readReport(exportPath: string): Promise<ExportReport> {
  const path = join(exportPath, OWN_FOLDER, REPORT_FILE)
  const parsed = exportReportSchema.safeParse(parse(await readBounded(path), path))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw invalid(path, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as expected'}`)
}

/** Puts a verification into the report of an export that has one. */
export async function recordVerification(exportPath: string, verification: VerifyOutcome): Promise<void> {
  await writeReports(exportPath, { ...(await readReport(exportPath)), verification })
}

async function readBounded(path: string): Promise<string> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw isMissing ? invalid(path, 'there is no report') : fromFsError(error, path, 'read')
  })
  try {
    const { size } = await handle.stat()
    if (size > MAX_REPORT_BYTES) throw invalid(path, `${String(size)} bytes are more than a report has`)
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error: unknown) {
    throw invalid(path, error instanceof Error ? error.message : 'it is not JSON')
  }
}

function invalid(subject: string, problem: string): AppError {
  return new AppError('REPORT_INVALID', {
    subject,
    problem,
    remedy: 'give the folder of an export of Quantmill',
  })
}

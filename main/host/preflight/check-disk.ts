/** Whether the planned bytes have room where they will lie. */
import { dirname } from 'node:path'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { freeDiskBytes } from '../jobs/free-disk.ts'
import { PARTIAL_SUFFIX } from '../jobs/output-folder.ts'
import { diskBytes } from '../jobs/partial-runs.ts'

/** Free space that must remain beyond the planned bytes, for side files and the file system itself. */
const DISK_MARGIN_BYTES = 64 * 1024 * 1024

/** An unfinished run of the same name is continued or replaced, so what it takes counts as free. Throws DISK_FULL. */
export async function checkDisk(outputPath: string, plannedBytes: number): Promise<void> {
  const folder = dirname(outputPath)
  const freeBytes = await freeDiskBytes(folder)
  if (freeBytes === undefined) return
  const presentBytes = await diskBytes(`${outputPath}${PARTIAL_SUFFIX}`).catch(() => 0)
  const neededBytes = Math.max(0, plannedBytes - presentBytes)
  if (freeBytes >= neededBytes + DISK_MARGIN_BYTES) return
  throw new AppError('DISK_FULL', {
    subject: folder,
    problem: `the export needs ${formatBytes(neededBytes, 'en')}, ${formatBytes(freeBytes, 'en')} are free`,
    remedy: 'free some space or choose another output folder',
  })
}

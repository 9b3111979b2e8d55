/** Whether everything that a run reads can be read, and is what an unfinished run has read before. */
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../../shared/errors/app-error.ts'
import { fromDataFileError } from '../../engine/io/node/calibration-files.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { HostStartRequest } from '../host-api.ts'
import { checkIdentity, JOURNAL_NAME, readJournalHead } from '../jobs/journal.ts'
import type { OutputFolder } from '../jobs/output-folder.ts'
import type { PreparedRun } from '../jobs/prepare-run.ts'
import { runIdentity } from '../jobs/run-identity.ts'

/** Every file that may not be read. */
export async function checkReadable(
  { checkpoint, folder }: PreparedRun,
  { calibrationPath }: HostStartRequest,
): Promise<readonly AppError[]> {
  const names = [
    ...checkpoint.shards.map(({ fileName }) => fileName),
    ...checkpoint.sideFiles.map(({ name }) => name),
  ]
  const errors: AppError[] = []
  const check = async (pathOf: () => string, subject: string, typed = fromSource): Promise<void> => {
    try {
      await access(pathOf(), constants.R_OK)
    } catch (error: unknown) {
      errors.push(typed(error, subject))
    }
  }
  for (const name of names) await check(() => folder.pathOf(name), join(folder.displayPath, name))
  if (calibrationPath !== undefined) await check(() => calibrationPath, calibrationPath, fromDataFileError)
  return errors
}

const fromSource = (error: unknown, subject: string): AppError => fromFsError(error, subject, 'read')

/** Throws RESUME_MISMATCH naming what changed since an unfinished run began, JOURNAL_INVALID. */
export async function checkContinued(
  output: OutputFolder,
  request: HostStartRequest,
  prepared: PreparedRun,
  version: string,
): Promise<void> {
  const path = join(output.partialPath, 'quantmill', JOURNAL_NAME)
  const head = await readJournalHead(path).catch((error: unknown) => {
    const wrapped = AppError.from(error)
    if (wrapped.cause instanceof Error && 'code' in wrapped.cause && wrapped.cause.code === 'ENOENT')
      return undefined
    throw wrapped
  })
  if (head !== undefined) checkIdentity(path, head, await runIdentity(request, prepared, version))
}

/** `quantmill/errors.json`: what rounding did to every matrix, measured against the source after the run. */
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import { writeSmallFile } from '../jobs/output-folder.ts'
import { ownFolder } from './read-receipt.ts'

/** `errors`: root of (sum of squared errors / sum of squared weights) by module. Throws WRITE_FAILED, PERMISSION_DENIED, DISK_FULL. */
export async function recordErrors(exportPath: string, errors: ReadonlyMap<string, number>): Promise<void> {
  const folder = ownFolder(exportPath).displayPath
  const path = join(folder, 'errors.json')
  try {
    await mkdir(folder, { recursive: true })
    await writeSmallFile(`${path}.partial`, lines(errors))
    await rename(`${path}.partial`, path)
  } catch (error: unknown) {
    throw fromFsError(error, path, 'write')
  }
}

function* lines(errors: ReadonlyMap<string, number>): Generator<string> {
  yield '{\n  "schema": 1,\n  "relativeError": {'
  let separator = ''
  for (const [module, error] of errors) {
    yield `${separator}\n    ${JSON.stringify(module)}: ${String(error)}`
    separator = ','
  }
  yield '\n  }\n}\n'
}

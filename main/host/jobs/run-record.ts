/**
 * run.json of an unfinished run: the request that started it, so that a list of unfinished runs can say what they are and continue them. Lies
 * beside the journal and is removed with it before the export is published, because it holds paths of this machine.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { runOptionsSchema } from '../../../shared/contract/schemas.ts'
import type { HostStartRequest, RecordedRun } from '../host-api.ts'
import { writeSmallFile } from './output-folder.ts'

const NAME = 'run.json'
/** A recipe of a million characters, each escaped, and some paths. */
const MAX_BYTES = 8 * 1024 * 1024

const path = z.string().check(z.minLength(1), z.maxLength(4096))
const recordSchema = z.strictObject({
  schema: z.literal(1),
  checkpointPath: path,
  options: runOptionsSchema,
  calibrationPath: z.optional(path),
  amaxPath: z.optional(path),
  taskCount: z.int().check(z.gte(0)),
})

export function runRecordPath(partialPath: string): string {
  return join(partialPath, 'quantmill', NAME)
}

/** Throws what the file system says. */
export async function writeRunRecord(
  partialPath: string,
  { checkpointPath, options, calibrationPath, amaxPath }: HostStartRequest,
  taskCount: number,
): Promise<void> {
  const record = { schema: 1, checkpointPath, options, calibrationPath, amaxPath, taskCount }
  await writeSmallFile(runRecordPath(partialPath), `${JSON.stringify(record, null, 2)}\n`)
}

/** undefined when there is none that can be understood: an unfinished run can be continued without it, by whoever knows its request. */
export async function readRunRecord(partialPath: string): Promise<RecordedRun | undefined> {
  try {
    const file = runRecordPath(partialPath)
    if ((await stat(file)).size > MAX_BYTES) return undefined
    const parsed = recordSchema.safeParse(JSON.parse(await readFile(file, 'utf8')))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  }
}

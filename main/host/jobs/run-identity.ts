/** What makes two runs write the same bytes: version, plan, source files, options and data. Compared before a run is continued. */
import { candidateSamples } from '../../../shared/domain/run-options.ts'
import { stat } from 'node:fs/promises'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { HostStartRequest } from '../host-api.ts'
import { digest, type RunIdentity } from './journal.ts'
import type { PreparedRun } from './prepare-run.ts'

/** Throws READ_FAILED when a source or data file is gone. */
export async function runIdentity(
  request: HostStartRequest,
  prepared: PreparedRun,
  version: string,
): Promise<RunIdentity> {
  const { plan, checkpoint, folder } = prepared
  const { recipe, recipeText, kv, dialect, profile, expertInputScale } = request.options
  const { statistics = 'lean', minTokensPerExpert } = request.options
  const { samples, sequenceLength } = prepared.calibration
  const needsData = plan.calibrationSites.length > 0
  const identity: Record<string, string> = {
    version,
    recipe: `${recipe} ${digest(recipeText ?? '').slice(0, 16)}`,
    options: JSON.stringify({ kv, dialect, profile, expertInputScale }),
    plan: digest(...plan.shards.map(({ header }) => header), ...plan.textFiles.map(({ text }) => text)),
  }
  if (needsData && request.amaxPath !== undefined) identity['amax'] = await fileFacts(request.amaxPath)
  else if (needsData) {
    const file = request.calibrationPath
    const data = file === undefined ? 'builtin' : await fileFacts(file)
    const coverage =
      minTokensPerExpert === undefined
        ? ''
        : `, ${String(minTokensPerExpert)} tokens per expert from ${String(candidateSamples({ ...request.options, samples }))}`
    identity['data'] = `${data} ${String(samples)} x ${String(sequenceLength)}, ${statistics}${coverage}`
  }
  for (const shard of checkpoint.shards) {
    const facts = shard.tensors.map(({ name, beginBytes }) => `${name} ${String(beginBytes)}\n`)
    identity[`source ${shard.fileName}`] =
      `${await fileFacts(folder.pathOf(shard.fileName))} ${digest(...facts).slice(0, 16)}`
  }
  return identity
}

/** Size and modification time: a changed file almost always differs in one of them, and neither needs the file to be read. */
async function fileFacts(path: string): Promise<string> {
  try {
    const { size, mtimeMs } = await stat(path)
    return `${String(size)} bytes, ${new Date(mtimeMs).toISOString()}`
  } catch (error: unknown) {
    throw fromFsError(error, path, 'read')
  }
}

/** Opens an export although its index is damaged: what the weight files hold counts, the index is only a claim about it. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { CheckpointFolder } from '../io/ports.ts'
import { INDEX_FILE, openExport, type OpenedExport } from '../verify/open-export.ts'

export interface OpenedForRepair {
  /** As `verify` sees it; undefined when the index cannot be read at all. */
  readonly asFound: OpenedExport | undefined
  /** What is repaired: without the index when that is wrong and every weight file of the folder can be read. */
  readonly opened: OpenedExport
  readonly isIndexWrong: boolean
}

/** Throws what openExport throws when neither the index nor the weight files alone make a checkpoint. */
export async function openForRepair(folder: CheckpointFolder): Promise<OpenedForRepair> {
  const asFound = await attempt(() => openExport(folder))
  if (!(asFound instanceof AppError) && !isDamaged(asFound))
    return { asFound, opened: asFound, isIndexWrong: false }
  const bare = await attempt(() => openExport(withoutIndex(folder)))
  if (!(bare instanceof AppError))
    return { asFound: asFound instanceof AppError ? undefined : asFound, opened: bare, isIndexWrong: true }
  if (asFound instanceof AppError) throw asFound
  // What a missing file held is missing, whatever the index says.
  return { asFound, opened: { ...asFound, indexProblems: [] }, isIndexWrong: true }
}

function isDamaged({ indexProblems, hasIndex, declaredTotalBytes, checkpoint }: OpenedExport): boolean {
  const isSized = declaredTotalBytes === undefined || declaredTotalBytes === checkpoint.totalTensorBytes
  return indexProblems.length > 0 || !isSized || (!hasIndex && checkpoint.shards.length > 1)
}

async function attempt<T>(action: () => Promise<T>): Promise<T | AppError> {
  try {
    return await action()
  } catch (error: unknown) {
    if (error instanceof AppError && error.kind === 'data') return error
    throw error
  }
}

/** The same folder as if it had no index. */
function withoutIndex(folder: CheckpointFolder): CheckpointFolder {
  return {
    displayPath: folder.displayPath,
    list: async () => (await folder.list()).filter(({ name }) => name !== INDEX_FILE),
    readAll: (name, limitBytes) => folder.readAll(name, limitBytes),
    readRange: (name, offsetBytes, lengthBytes) => folder.readRange(name, offsetBytes, lengthBytes),
    sizeOf: (name) => folder.sizeOf(name),
  }
}

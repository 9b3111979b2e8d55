/** Compares an export, and the checkpoint it was made from, with the hashes of its receipt. Streams; memory grows with names only. */
import { createHash } from 'node:crypto'
import { AppError } from '../../../shared/errors/app-error.ts'
import {
  MISMATCHES_KEPT,
  type ReceiptCheck,
  type ReceiptMismatch,
} from '../../../shared/domain/receipt-check.ts'
import { openCheckpoint } from '../../engine/checkpoint/open-checkpoint.ts'
import type { ShardHeader } from '../../engine/formats/safetensors/entry.ts'
import { parseShardHeader, readHeaderLength } from '../../engine/formats/safetensors/parse-header.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { RECEIPT_NAME } from '../jobs/receipt.ts'
import { cancelled } from '../jobs/export-sweep.ts'
import { ownFolder, readReceipt, type Receipt, type SourceShardFacts } from './read-receipt.ts'

const CHUNK_BYTES = 8 * 1024 * 1024
const OWN_PREFIX = 'quantmill/'

export interface ReceiptRequest {
  readonly exportPath: string
  readonly sourcePath: string | undefined
  readonly isCancelled: () => boolean
}

/** Throws what readReceipt and openCheckpoint throw, READ_FAILED, CANCELLED. A file that is missing or differs is a mismatch. */
export async function checkReceipt(request: ReceiptRequest): Promise<ReceiptCheck> {
  const receipt = await readReceipt(request.exportPath)
  const checker = new Checker(request.isCancelled)
  await checker.checkFiles(request.exportPath, receipt)
  await checker.checkTensors(new NodeCheckpointFolder(request.exportPath), receipt)
  const hasSource = request.sourcePath !== undefined
  if (request.sourcePath !== undefined)
    await checker.checkSource(new NodeCheckpointFolder(request.sourcePath), receipt)
  return {
    isIntact: checker.mismatchCount === 0,
    tensorCount: receipt.tensors.size,
    fileCount: receipt.files.size,
    sourceRangeCount: hasSource ? receipt.ranges.length : 0,
    mismatches: checker.mismatches,
    mismatchCount: checker.mismatchCount,
  }
}

class Checker {
  readonly mismatches: ReceiptMismatch[] = []
  mismatchCount = 0
  private readonly isCancelled: () => boolean

  constructor(isCancelled: () => boolean) {
    this.isCancelled = isCancelled
  }

  async checkFiles(exportPath: string, { files, recipeSha256 }: Receipt): Promise<void> {
    const top = new NodeCheckpointFolder(exportPath)
    for (const [path, expected] of files) {
      const isOwn = path.startsWith(OWN_PREFIX)
      const found = await this.hashOfFile(
        isOwn ? ownFolder(exportPath) : top,
        isOwn ? path.slice(OWN_PREFIX.length) : path,
      )
      const kind = path === `${OWN_PREFIX}recipe.yaml` ? 'recipe' : 'file'
      if (found === undefined) this.add(kind, path, 'it is missing')
      else if (found !== expected) this.add(kind, path, 'it is not the file of the receipt')
    }
    const recipe = files.get(`${OWN_PREFIX}recipe.yaml`)
    if (recipeSha256 !== undefined && recipe !== recipeSha256)
      this.add('recipe', 'receipt.json: recipe.sha256', 'it is not the hash under files')
  }

  async checkTensors(folder: NodeCheckpointFolder, { tensors }: Receipt): Promise<void> {
    const { tensors: stored, shards } = await openCheckpoint(folder, { onIndexProblem: () => undefined })
    for (const { name, shardIndex, offsetBytes, sizeBytes } of stored.values()) {
      const expected = tensors.get(name)
      const fileName = shards[shardIndex]?.fileName ?? ''
      if (expected === undefined) this.add('tensor', name, 'the receipt does not know this tensor')
      else if ((await this.hashOf(folder, fileName, offsetBytes, sizeBytes)) !== expected)
        this.add('tensor', name, `its bytes in ${fileName} are not those of the receipt`)
    }
    for (const name of tensors.keys())
      if (!stored.has(name)) this.add('tensor', name, 'the receipt has this tensor, the export does not')
  }

  async checkSource(folder: NodeCheckpointFolder, { shards, ranges }: Receipt): Promise<void> {
    if (shards.length === 0 || ranges.length === 0) {
      this.add('source', RECEIPT_NAME, 'it has no hashes of a source')
      return
    }
    const found = new Map<string, ShardHeader>()
    for (const expected of shards) {
      const header = await this.checkShard(folder, expected)
      if (header !== undefined) found.set(expected.fileName, header)
    }
    for (const { fileName, offsetBytes, sizeBytes, sha256 } of ranges) {
      const header = found.get(fileName)
      if (header === undefined) continue
      const isInside = offsetBytes + sizeBytes <= header.fileSizeBytes
      if (isInside && (await this.hashOf(folder, fileName, offsetBytes, sizeBytes)) === sha256) continue
      const begin = offsetBytes - header.dataStartBytes
      const tensor = header.tensors.find(
        ({ beginBytes, endBytes }) => beginBytes <= begin && begin < endBytes,
      )
      const place = `${fileName}: ${tensor?.name ?? 'unknown tensor'}`
      const range = `bytes ${String(offsetBytes)} to ${String(offsetBytes + sizeBytes)} of the file`
      this.add('source', place, `${range} are not those of the receipt`)
    }
  }

  /** Size and header of a shard of the source; undefined when it cannot be what the run has read. */
  private async checkShard(
    folder: NodeCheckpointFolder,
    { fileName, fileSizeBytes, headerSha256 }: SourceShardFacts,
  ): Promise<ShardHeader | undefined> {
    const size = await folder.sizeOf(fileName)
    if (size !== fileSizeBytes) {
      const problem = size === undefined ? 'it is missing' : `it has ${String(size)} bytes`
      this.add('source', fileName, `${problem}, the receipt says ${String(fileSizeBytes)}`)
      return undefined
    }
    try {
      const length = readHeaderLength(await folder.readRange(fileName, 0, Math.min(8, size)), fileName, size)
      const bytes = await folder.readRange(fileName, 0, 8 + length)
      if (createHash('sha256').update(bytes).digest('hex') !== headerSha256)
        this.add('source', fileName, 'its header is not that of the receipt')
      return parseShardHeader(bytes, fileName, size)
    } catch (error: unknown) {
      if (!(error instanceof AppError) || error.kind !== 'data') throw error
      this.add('source', error.subject, error.problem)
      return undefined
    }
  }

  private add(kind: ReceiptMismatch['kind'], subject: string, message: string): void {
    this.mismatchCount += 1
    if (this.mismatches.length < MISMATCHES_KEPT) this.mismatches.push({ kind, subject, message })
  }

  private async hashOfFile(folder: NodeCheckpointFolder, name: string): Promise<string | undefined> {
    const size = await folder.sizeOf(name)
    return size === undefined ? undefined : this.hashOf(folder, name, 0, size)
  }

  private async hashOf(
    folder: NodeCheckpointFolder,
    fileName: string,
    offsetBytes: number,
    sizeBytes: number,
  ): Promise<string> {
    const hash = createHash('sha256')
    for (let done = 0; done < sizeBytes; done += CHUNK_BYTES) {
      if (this.isCancelled()) throw cancelled()
      const length = Math.min(CHUNK_BYTES, sizeBytes - done)
      hash.update(await folder.readRange(fileName, offsetBytes + done, length))
    }
    return hash.digest('hex')
  }
}

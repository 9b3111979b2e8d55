/**
 * Converts an existing export between dialects: no weight is decoded, bytes are copied (or repacked) task by task on the worker pool, scalars
 * are written last. Same folder discipline as a run: everything happens in a partial folder that is renamed at the end.
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { DialectChoice, ProfileChoice } from '../../../shared/domain/run-options.ts'
import type { Checkpoint } from '../../engine/checkpoint/checkpoint.ts'
import { openCheckpoint } from '../../engine/checkpoint/open-checkpoint.ts'
import { planConvert, type ConvertPlan } from '../../engine/convert/plan-convert.ts'
import { parseJsonObject, type JsonObject } from '../../engine/formats/hf-config/lossless-json.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { writeFully } from '../../engine/io/node/write-fully.ts'
import { SMOOTHING_FILE } from '../../engine/smoothing/smoothing-record.ts'
import { checkPublished } from '../jobs/check-export.ts'
import type { JobEnvironment } from '../jobs/job-observer.ts'
import { checkOutput, copySideFile, writeSmallFile, type OutputFolder } from '../jobs/output-folder.ts'
import { RECEIPT_NAME, RECEIPT_SCHEMA, receiptText, tensorLines } from '../jobs/receipt.ts'
import { writeActivationScales } from '../jobs/seal-export.ts'
import type { TensorHashes } from '../jobs/tensor-hashes.ts'
import { readRecords, recordTexts } from './converted-records.ts'
import { convertScalars, type ConvertedScalars, type InversionCounts } from './convert-scalars.ts'
import { assertExportFolder, rewriteExport, type RewriteObserver } from './rewrite-export.ts'

export interface ConvertRequest {
  readonly exportPath: string
  readonly outputPath: string
  readonly dialect: DialectChoice
  readonly profile: ProfileChoice
  /** undefined = tensors stay in the shards they are in. */
  readonly maxShardSizeBytes: number | undefined
  /** 0 = one per core. */
  readonly workers: number
  readonly canOverwrite: boolean
}

export interface ConvertReport {
  readonly displayPath: string
  readonly from: DialectChoice
  readonly to: DialectChoice
  readonly tensorCount: number
  readonly sourceBytes: number
  readonly outputBytes: number
  readonly bytesRead: number
  /** What inverting did to scalars, in number of tensors. */
  readonly reciprocals: InversionCounts & { readonly total: number }
  /** True when converting this result back gives the bytes of every tensor again. */
  readonly isReversible: boolean
  readonly droppedScales: readonly string[]
  readonly notes: readonly string[]
  readonly workers: number
  readonly durationMs: number
}

interface Converting {
  readonly request: ConvertRequest
  readonly environment: JobEnvironment
  readonly observer: RewriteObserver
  readonly folder: NodeCheckpointFolder
  readonly checkpoint: Checkpoint
  readonly converted: ConvertPlan
  readonly scalars: ConvertedScalars
  readonly output: OutputFolder
  readonly workerCount: number
}

const LEGACY_NAME = 'hf_quant_config.json'
/** CWE-770: as for config.json; mixed precision lists every module. */
const MAX_LEGACY_BYTES = 64 * 1024 * 1024
/** What an earlier run left about the export that stays true of the converted one. */
const CARRIED_OWN_FILES = ['recipe.yaml', 'calibration.safetensors', SMOOTHING_FILE]

/** Converts. Throws what planning throws, before anything is created; CANCELLED; environment errors, after which nothing is published. */
export async function convertExport(
  request: ConvertRequest,
  environment: JobEnvironment,
  observer: RewriteObserver,
): Promise<ConvertReport> {
  const startedMs = performance.now()
  await assertExportFolder(request.exportPath)
  const folder = new NodeCheckpointFolder(request.exportPath)
  const checkpoint = await openCheckpoint(folder)
  const recorded = await readRecords(request.exportPath)
  const converted = planConvert({
    checkpoint,
    legacy: await readLegacy(folder),
    target: request.dialect,
    profile: request.profile,
    maxShardSizeBytes: request.maxShardSizeBytes,
    shapeShards: recorded.shapeShards,
  })
  const output = await checkOutput(request.outputPath, request.exportPath, {
    canOverwrite: request.canOverwrite,
    canResume: false,
  })
  const scalars = await convertScalars(folder, checkpoint.shards, converted.scalars, recorded.reciprocals)
  const workerCount = request.workers === 0 ? environment.cpuCount : request.workers
  const parts = {
    request,
    environment,
    observer,
    folder,
    checkpoint,
    converted,
    scalars,
    output,
    workerCount,
  }
  const bytesRead = await rewriteExport({
    plan: converted.plan,
    sourcePaths: checkpoint.shards.map(({ fileName }) => folder.pathOf(fileName)),
    output,
    environment,
    workerCount,
    observer,
    writeScalars: (targets, hashes) => {
      writeActivationScales(scalars.values, targets, hashes)
      writeConstants(parts, targets, hashes)
    },
    writeFiles: async (hashes) => {
      await writeFiles(parts, hashes)
      await checkPublished(output.partialPath, converted.plan)
    },
  })
  return makeReport(parts, bytesRead, performance.now() - startedMs)
}

function writeConstants(
  { converted }: Converting,
  targets: readonly FileHandle[],
  hashes: Pick<TensorHashes, 'set'>,
): void {
  for (const { output, values } of converted.constants) {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
    const target = targets[output.shardIndex]
    if (target !== undefined) writeFully(target.fd, bytes, output.offsetBytes, output.name)
    hashes.set(output.index, createHash('sha256').update(bytes).digest('hex'))
  }
}

async function writeFiles(parts: Converting, hashes: TensorHashes): Promise<void> {
  const { request, environment, folder, checkpoint, converted, scalars, output } = parts
  const files: Record<string, string> = {}
  for (const { fileName, text } of converted.plan.textFiles) {
    await writeSmallFile(join(output.partialPath, fileName), text)
    files[fileName] = createHash('sha256').update(text).digest('hex')
  }
  for (const { name } of checkpoint.sideFiles)
    files[name] = await copySideFile(folder.pathOf(name), join(output.partialPath, name))
  const own = new NodeCheckpointFolder(join(request.exportPath, 'quantmill'))
  for (const name of CARRIED_OWN_FILES) {
    if ((await own.sizeOf(name)) === undefined) continue
    await copySideFile(own.pathOf(name), join(output.partialPath, 'quantmill', name))
  }
  const records = { reciprocals: scalars.record, shapeShards: converted.shapeShards }
  for (const [name, text] of recordTexts(records))
    await writeSmallFile(join(output.partialPath, 'quantmill', name), text)
  const receipt = {
    schema: RECEIPT_SCHEMA,
    producer: { name: 'quantmill', version: environment.version },
    conversion: {
      from: converted.source,
      to: request.dialect,
      profile: request.profile,
      reciprocals: scalars.counts,
      droppedScales: converted.droppedScales,
      notes: converted.notes,
    },
    source: {
      architecture: converted.model.architecture,
      totalTensorBytes: checkpoint.totalTensorBytes,
      shards: checkpoint.shards.map(({ fileName, fileSizeBytes }) => ({ fileName, fileSizeBytes })),
    },
    files,
  }
  await writeSmallFile(
    join(output.partialPath, 'quantmill', RECEIPT_NAME),
    receiptText(receipt, { tensors: tensorLines(converted.plan.tensors, hashes) }),
  )
}

function makeReport(
  { request, converted, scalars, output, workerCount }: Converting,
  bytesRead: number,
  durationMs: number,
): ConvertReport {
  const { counts } = scalars
  const total = counts.exact + counts.restored + counts.recorded + counts.rounded
  return {
    displayPath: output.finalPath,
    from: converted.source,
    to: request.dialect,
    tensorCount: converted.plan.tensors.length,
    sourceBytes: converted.plan.sourceBytes,
    outputBytes: converted.plan.outputBytes,
    bytesRead,
    reciprocals: { total, ...counts },
    isReversible: converted.isReversible,
    droppedScales: converted.droppedScales,
    notes: converted.notes,
    workers: workerCount,
    durationMs,
  }
}

async function readLegacy(folder: NodeCheckpointFolder): Promise<JsonObject | undefined> {
  if ((await folder.sizeOf(LEGACY_NAME)) === undefined) return undefined
  return parseJsonObject(await folder.readAll(LEGACY_NAME, MAX_LEGACY_BYTES), LEGACY_NAME)
}

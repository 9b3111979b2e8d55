/**
 * Repairs an export into a new folder. The old one is only read. What comes out is verified before it gets its name; what is still wrong
 * then is reported, and was left as it is.
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { planOutput, type OutputPlan } from '../../engine/doctor/plan-output.ts'
import { planRepairs, type RepairPlan } from '../../engine/doctor/plan-repairs.ts'
import type { Repair } from '../../engine/doctor/repair.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { writeFully } from '../../engine/io/node/write-fully.ts'
import { INDEX_FILE } from '../../engine/verify/open-export.ts'
import { verifyExport } from '../../engine/verify/verify-export.ts'
import { assertExportFolder, rewriteExport, type RewriteObserver } from '../convert/rewrite-export.ts'
import { checkPublished } from '../jobs/check-export.ts'
import type { JobEnvironment } from '../jobs/job-observer.ts'
import { checkOutput, copySideFile, writeSmallFile, type OutputFolder } from '../jobs/output-folder.ts'
import { RECEIPT_NAME, RECEIPT_SCHEMA, receiptText, tensorLines } from '../jobs/receipt.ts'
import type { TensorHashes } from '../jobs/tensor-hashes.ts'

export interface DoctorRequest {
  readonly exportPath: string
  readonly sourcePath: string | undefined
  readonly outputPath: string
  /** 0 = one per core. */
  readonly workers: number
  readonly canOverwrite: boolean
}

export interface DoctorReport {
  /** undefined = nothing was written, because nothing could be repaired. */
  readonly displayPath: string | undefined
  readonly repairs: readonly Repair[]
  /** Of the repaired export; of the old one when nothing was written. */
  readonly verification: VerifyReport
  readonly outputBytes: number
  readonly durationMs: number
}

const OWN_FOLDER = 'quantmill'
/** The receipt that the export came with. */
const OLD_RECEIPT = 'receipt-before-repair.json'

/** Throws what verifyExport throws and what checkOutput and rewriteExport throw; nothing is left behind then. */
export async function doctorExport(
  request: DoctorRequest,
  environment: JobEnvironment,
  observer: RewriteObserver,
): Promise<DoctorReport> {
  const startedMs = performance.now()
  await assertExportFolder(request.exportPath)
  if (request.sourcePath !== undefined) await assertExportFolder(request.sourcePath)
  const output = await checkOutput(request.outputPath, request.exportPath, {
    canOverwrite: request.canOverwrite,
    canResume: false,
  })
  if (request.sourcePath !== undefined)
    await checkOutput(request.outputPath, request.sourcePath, { canOverwrite: true, canResume: false })
  const folder = new NodeCheckpointFolder(request.exportPath)
  const source = request.sourcePath === undefined ? undefined : new NodeCheckpointFolder(request.sourcePath)
  const isCancelled = (): boolean => observer.isCancelled()
  const repairs = await planRepairs(folder, { source, isCancelled })
  const base = { repairs: repairs.set.repairs, durationMs: performance.now() - startedMs }
  if (repairs.set.repairs.length === 0)
    return { ...base, displayPath: undefined, verification: repairs.before, outputBytes: 0 }
  const planned = planOutput(repairs)
  const doctoring = { environment, folder, source, repairs, planned, output }
  let verification = repairs.before
  await rewriteExport({
    plan: planned.plan,
    sourcePaths: sourcePaths(doctoring),
    output,
    environment,
    workerCount: request.workers === 0 ? environment.cpuCount : request.workers,
    observer,
    writeScalars: (targets, hashes) => {
      writeScalars(planned, targets, hashes)
    },
    writeFiles: async (hashes) => {
      await writeFiles(doctoring, hashes)
      // Scales that could not be repaired are findings of the verification, not mistakes of the writer.
      await checkPublished(output.partialPath, { ...planned.plan, profile: 'identical' })
      const written = new NodeCheckpointFolder(output.partialPath)
      verification = await verifyExport(written, { source, isCancelled })
    },
  })
  return {
    ...base,
    displayPath: output.finalPath,
    verification: { ...verification, displayPath: output.finalPath },
    outputBytes: planned.plan.outputBytes,
    durationMs: performance.now() - startedMs,
  }
}

interface Doctoring {
  readonly environment: JobEnvironment
  readonly folder: NodeCheckpointFolder
  readonly source: NodeCheckpointFolder | undefined
  readonly repairs: RepairPlan
  readonly planned: OutputPlan
  readonly output: OutputFolder
}

function sourcePaths({ folder, source, repairs, planned }: Doctoring): readonly string[] {
  const own = repairs.opened.checkpoint.shards.map(({ fileName }) => folder.pathOf(fileName))
  const view = repairs.examined.compared.source
  if (!planned.needsSource || source === undefined || view === undefined) return own
  return [...own, ...view.checkpoint.shards.map(({ fileName }) => source.pathOf(fileName))]
}

function writeScalars(
  { scalars }: OutputPlan,
  targets: readonly FileHandle[],
  hashes: Pick<TensorHashes, 'set'>,
): void {
  for (const { output, scalar } of scalars) {
    const bytes = new Uint8Array(Float32Array.of(scalar.value).buffer)
    const target = targets[output.shardIndex]
    if (target !== undefined) writeFully(target.fd, bytes, output.offsetBytes, output.name)
    hashes.set(output.index, createHash('sha256').update(bytes).digest('hex'))
  }
}

/** Everything beside the weights: unchanged files of the export, new texts, files of the source, our own folder. */
async function writeFiles(doctoring: Doctoring, hashes: TensorHashes): Promise<void> {
  const { folder, source, repairs, planned, output } = doctoring
  const files: Record<string, string> = {}
  for (const { fileName, text } of planned.plan.textFiles) {
    await writeSmallFile(join(output.partialPath, fileName), text)
    files[fileName] = createHash('sha256').update(text).digest('hex')
  }
  for (const { name, kind } of await folder.list()) {
    const isWritten = Object.hasOwn(files, name) || name === INDEX_FILE || name.endsWith('.safetensors')
    if (kind !== 'file' || isWritten) continue
    files[name] = await copySideFile(folder.pathOf(name), join(output.partialPath, name))
  }
  for (const name of source === undefined ? [] : repairs.set.sideFiles)
    files[name] = await copySideFile(source?.pathOf(name) ?? '', join(output.partialPath, name))
  await copyOwnFiles(doctoring)
  const receipt = {
    schema: RECEIPT_SCHEMA,
    producer: { name: 'quantmill', version: doctoring.environment.version },
    repairs: repairs.set.repairs,
    files,
  }
  await writeSmallFile(
    join(output.partialPath, OWN_FOLDER, RECEIPT_NAME),
    receiptText(receipt, { tensors: tensorLines(planned.plan.tensors, hashes) }),
  )
}

async function copyOwnFiles({ folder, output }: Doctoring): Promise<void> {
  const isThere = (await folder.list()).some(({ name, kind }) => name === OWN_FOLDER && kind === 'folder')
  if (!isThere) return
  const own = new NodeCheckpointFolder(join(folder.displayPath, OWN_FOLDER))
  for (const { name, kind } of await own.list()) {
    if (kind !== 'file') continue
    const target = name === RECEIPT_NAME ? OLD_RECEIPT : name
    await copySideFile(own.pathOf(name), join(output.partialPath, OWN_FOLDER, target))
  }
}

/** Everything of an export that is not a planned tensor task: activation scales, configuration texts, side files, receipt. */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { writeCalibrationDump } from '../../engine/calibration/amax-dump.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import { writeFully } from '../../engine/io/node/write-fully.ts'
import type { ResolvedScale } from '../../engine/pipeline/resolve-activation-scales.ts'
import { SMOOTHING_FILE, writeSmoothingRecord } from '../../engine/smoothing/smoothing-record.ts'
import { recipeText } from '../../engine/recipes/recipe-text.ts'
import { copySideFile, writeSmallFile } from './output-folder.ts'
import { makeReceipt, RECEIPT_NAME, receiptText, sourceLines, tensorLines } from './receipt.ts'
import type { RunParts } from './run-parts.ts'
import type { TensorHashes } from './tensor-hashes.ts'

/** Writes each f32 scale at its planned place and records its hash. */
export function writeActivationScales(
  scales: readonly ResolvedScale[],
  targets: readonly FileHandle[],
  hashes: Pick<TensorHashes, 'set'>,
): void {
  const bytes = new Uint8Array(4)
  const view = new DataView(bytes.buffer)
  for (const { output, value } of scales) {
    view.setFloat32(0, output.transform === 'reciprocal' ? 1 / value : value, true)
    const target = targets[output.shardIndex]
    if (target !== undefined) writeFully(target.fd, bytes, output.offsetBytes, output.name)
    hashes.set(output.index, createHash('sha256').update(bytes).digest('hex'))
  }
}

/** Makes the shards durable and writes every other file of the export. `stopIfAsked` throws between files when the run is to end. */
export async function sealExport(
  parts: RunParts,
  targets: readonly FileHandle[],
  partialPath: string,
  stopIfAsked: () => void,
): Promise<void> {
  const { prepared, calibrated } = parts
  for (const target of targets) {
    stopIfAsked()
    try {
      await target.sync()
    } catch (error: unknown) {
      throw fromFsError(error, partialPath, 'write')
    }
  }
  const files: Record<string, string> = {}
  for (const file of prepared.plan.textFiles) {
    await writeSmallFile(join(partialPath, file.fileName), file.text)
    files[file.fileName] = sha256(file.text)
  }
  for (const { name } of prepared.checkpoint.sideFiles) {
    stopIfAsked()
    files[name] = await copySideFile(prepared.folder.pathOf(name), join(partialPath, name))
  }
  const own = join(partialPath, 'quantmill')
  const writeOwn = async (name: string, content: string | Uint8Array): Promise<void> => {
    await writeSmallFile(join(own, name), content)
    files[`quantmill/${name}`] = sha256(content)
  }
  await writeOwn('recipe.yaml', recipeText(prepared.recipe))
  if (calibrated.stats.amax.size > 0)
    await writeOwn('calibration.safetensors', writeCalibrationDump(calibrated.stats))
  if (calibrated.smoothing !== undefined)
    await writeOwn(SMOOTHING_FILE, writeSmoothingRecord(calibrated.smoothing))
  await writeOwn('job.log.jsonl', parts.lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  await writeSmallFile(
    join(own, RECEIPT_NAME),
    receiptText(await makeReceipt(parts, files), {
      sourceRanges: sourceLines(prepared.plan, prepared.checkpoint.shards, parts.sweep.sources),
      tensors: tensorLines(prepared.plan.tensors, parts.sweep.hashes),
    }),
  )
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** Everything of an export that is not a planned tensor task: activation scales, configuration texts, side files, receipt. */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { cpus, platform, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { writeCalibrationDump } from '../../engine/calibration/amax-dump.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import { writeFully } from '../../engine/io/node/write-fully.ts'
import type { PlannedTensor } from '../../engine/pipeline/export-plan.ts'
import type { ResolvedScale } from '../../engine/pipeline/resolve-activation-scales.ts'
import { recipeText } from '../../engine/recipes/recipe-text.ts'
import { copySideFile, writeSmallFile } from './output-folder.ts'
import type { RunParts } from './run-parts.ts'
import type { TensorHashes } from './tensor-hashes.ts'
import { layerCoverage, uncoveredExperts } from './uncovered-experts.ts'

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
  await writeSmallFile(join(own, 'recipe.yaml'), recipeText(prepared.recipe))
  if (calibrated.stats.amax.size > 0) {
    await writeSmallFile(join(own, 'calibration.safetensors'), writeCalibrationDump(calibrated.stats))
  }
  await writeSmallFile(
    join(own, 'job.log.jsonl'),
    parts.lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
  )
  await writeSmallFile(
    join(own, 'receipt.json'),
    receiptText(makeReceipt(parts, files), parts.prepared.plan.tensors, parts.sweep.hashes),
  )
}

/** No paths and no times: two equal runs on equal machines give equal receipts. */
function makeReceipt(parts: RunParts, files: Readonly<Record<string, string>>): Record<string, unknown> {
  const { prepared, sweep, request, environment, calibrated } = parts
  return {
    schema: 1,
    producer: { name: 'quantmill', version: environment.version },
    machine: {
      platform: platform(),
      release: release(),
      node: process.versions.node,
      cpu: cpus()[0]?.model ?? 'unknown',
      memoryBytes: totalmem(),
      calibrationDevice: calibrated.device,
    },
    recipe: prepared.plan.recipeName,
    options: { ...request.options, recipeText: undefined },
    source: {
      architecture: prepared.model.architecture,
      totalTensorBytes: prepared.checkpoint.totalTensorBytes,
      shards: prepared.checkpoint.shards.map(({ fileName, fileSizeBytes, tensors }) => ({
        fileName,
        fileSizeBytes,
        tensorCount: tensors.length,
      })),
    },
    coverage: {
      calibratedTokens: calibrated.stats.tokenCount,
      notices: calibrated.notices,
      search: calibrated.coverageSearch,
      layers: layerCoverage(parts),
      uncoveredExperts: uncoveredExperts(parts),
    },
    repairs: sweep.deadWeights,
    scaleFindings: parts.scaleFindings,
    files,
  }
}

/** The receipt with one line per tensor, in state-dict order and in pieces: for a large model it has tens of megabytes. */
export function* receiptText(
  receipt: Record<string, unknown>,
  tensors: Iterable<PlannedTensor>,
  hashes: TensorHashes,
): Generator<string> {
  yield `${JSON.stringify(receipt, null, 2).slice(0, -2)},\n  "tensors": {`
  let separator = ''
  for (const { name, index } of tensors) {
    const hash = hashes.get(index)
    if (hash === undefined) continue
    yield `${separator}\n    ${JSON.stringify(name)}: "${hash}"`
    separator = ','
  }
  yield '\n  }\n}\n'
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/**
 * `quantmill/receipt.json`: what an export was made of and by what, and what its bytes are. Every hash is taken while the bytes pass anyway.
 * `verify --receipt` checks it again.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { cpus, platform, release, totalmem } from 'node:os'
import { basename } from 'node:path'
import { builtinTextVersion } from '../../engine/io/node/builtin-text.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { ShardHeader } from '../../engine/formats/safetensors/entry.ts'
import type { ExportPlan, PlannedTensor } from '../../engine/pipeline/export-plan.ts'
import type { RunParts } from './run-parts.ts'
import { taskSources } from './task-sources.ts'
import type { SourceHashes, TensorHashes } from './tensor-hashes.ts'
import { layerCoverage, uncoveredExperts } from './uncovered-experts.ts'

export const RECEIPT_NAME = 'receipt.json'
export const RECEIPT_SCHEMA = 2

/** No paths and no times: two equal runs on equal machines give equal receipts. Throws READ_FAILED for a data file that is gone. */
export async function makeReceipt(
  parts: RunParts,
  files: Readonly<Record<string, string>>,
): Promise<Record<string, unknown>> {
  const { prepared, sweep, request, environment, calibrated, workerCount } = parts
  return {
    schema: RECEIPT_SCHEMA,
    producer: { name: 'quantmill', version: environment.version },
    machine: {
      platform: platform(),
      release: release(),
      node: process.versions.node,
      cpu: cpus()[0]?.model ?? 'unknown',
      memoryBytes: totalmem(),
      workers: workerCount,
      calibrationDevice: calibrated.device,
    },
    recipe: { name: prepared.plan.recipeName, sha256: files['quantmill/recipe.yaml'] },
    data: await dataFacts(parts),
    options: { ...request.options, recipeText: undefined },
    source: {
      architecture: prepared.model.architecture,
      totalTensorBytes: prepared.checkpoint.totalTensorBytes,
      shards: await shardFacts(parts),
    },
    coverage: {
      calibratedTokens: calibrated.stats.tokenCount,
      notices: calibrated.notices,
      search: calibrated.coverageSearch,
      layers: layerCoverage(parts),
      uncoveredExperts: uncoveredExperts(parts),
    },
    errors: 'not measured by the run; `verify --source <checkpoint> --record` writes quantmill/errors.json',
    repairs: sweep.deadWeights,
    scaleFindings: parts.scaleFindings,
    files,
  }
}

/** What the inputs were: a file by its hash, the built-in text by its version. */
async function dataFacts({ request, prepared }: RunParts): Promise<Record<string, unknown>> {
  const { samples, sequenceLength } = request.options
  if (prepared.plan.calibrationSites.length === 0) return { kind: 'none' }
  if (request.amaxPath !== undefined) return { kind: 'amax', ...(await fileFacts(request.amaxPath)) }
  const size = { samples, sequenceLength }
  return request.calibrationPath === undefined
    ? { kind: 'builtin', version: await builtinTextVersion(), ...size }
    : { kind: 'file', ...(await fileFacts(request.calibrationPath)), ...size }
}

async function fileFacts(path: string): Promise<Record<string, unknown>> {
  try {
    const bytes = await readFile(path)
    return { name: basename(path), sha256: createHash('sha256').update(bytes).digest('hex') }
  } catch (error: unknown) {
    throw fromFsError(error, path, 'read')
  }
}

/** Headers are read again (they are no weights); the hashes of the data are in `sourceRanges`. */
async function shardFacts({ prepared }: RunParts): Promise<readonly Record<string, unknown>[]> {
  const facts: Record<string, unknown>[] = []
  for (const { fileName, fileSizeBytes, tensors, dataStartBytes } of prepared.checkpoint.shards) {
    const header = await prepared.folder.readRange(fileName, 0, dataStartBytes)
    const headerSha256 = createHash('sha256').update(header).digest('hex')
    facts.push({ fileName, fileSizeBytes, tensorCount: tensors.length, headerSha256 })
  }
  return facts
}

type Line = readonly [key: string, sha256: string]

/** Hash of every tensor by name, in state-dict order. */
export function* tensorLines(tensors: Iterable<PlannedTensor>, hashes: TensorHashes): Generator<Line> {
  for (const { name, index } of tensors) {
    const hash = hashes.get(index)
    if (hash !== undefined) yield [name, hash]
  }
}

/** Hash of every range of the source that was read, as `shard:offset+length` in bytes from the start of the file. */
export function* sourceLines(
  { tasks }: Pick<ExportPlan, 'tasks'>,
  shards: readonly Pick<ShardHeader, 'fileName'>[],
  hashes: SourceHashes,
): Generator<Line> {
  for (const task of tasks) {
    for (const [position, { shardIndex, offsetBytes, sizeBytes }] of taskSources(task).entries()) {
      const hash = hashes.get(task.taskIndex, position)
      const key = `${shards[shardIndex]?.fileName ?? ''}:${String(offsetBytes)}+${String(sizeBytes)}`
      if (hash !== undefined) yield [key, hash]
    }
  }
}

/** The receipt with one line per hash, in pieces: for a large model it has tens of megabytes. */
export function* receiptText(
  receipt: Record<string, unknown>,
  sections: Readonly<Record<string, Iterable<Line>>>,
): Generator<string> {
  yield JSON.stringify(receipt, null, 2).slice(0, -2)
  for (const [name, lines] of Object.entries(sections)) {
    yield `,\n  ${JSON.stringify(name)}: {`
    let separator = ''
    for (const [key, hash] of lines) {
      yield `${separator}\n    ${JSON.stringify(key)}: "${hash}"`
      separator = ','
    }
    yield '\n  }'
  }
  yield '\n}\n'
}

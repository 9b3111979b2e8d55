/**
 * What calibration.bench.mjs runs: one calibration from files to finished statistics, in a process of its own, without an export. Built into
 * out/main, so that it needs nothing but Node and onnxruntime-node. Prints one JSON object.
 */
import { open, writeFile, type FileHandle } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { EMPTY_STATS, mergeStats, type CalibrationStats } from '../../../main/engine/calibration/stats.ts'
import { SAMPLE_SHAPES, writeSampleCheckpoint } from '../../../main/engine/io/node/write-sample-checkpoint.ts'
import type { QwenTextConfig } from '../../../main/engine/models/qwen3_5-moe/text-config.ts'
import { openModel } from '../../../main/host/jobs/prepare-run.ts'
import { DeviceClient } from '../../../main/host/pool/device-client.ts'
import type { CalibrationCosts } from '../../../main/workers/device-protocol.ts'

const DEVICES = ['cpu', 'webgpu', 'cuda'] as const
type Device = (typeof DEVICES)[number]

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    like: { type: 'string', default: 'qwen3.5-35b-a3b' },
    layers: { type: 'string', default: '2' },
    samples: { type: 'string', default: '64' },
    'seq-len': { type: 'string', default: '512' },
    vocab: { type: 'string', default: '16384' },
    device: { type: 'string', default: 'webgpu' },
    'gpu-gb': { type: 'string' },
    repeat: { type: 'string', default: '1' },
    check: { type: 'boolean', default: false },
    tokenizer: { type: 'string' },
  },
})

interface Measured {
  readonly stats: CalibrationStats
  readonly costs: CalibrationCosts
  readonly bytesRead: number
  readonly openSeconds: number
  readonly embedSeconds: number
  readonly layerSeconds: readonly number[]
  readonly finishSeconds: number
  readonly notices: readonly string[]
}

const IDS_FILE = 'bench-input-ids.i32'

async function prepare(folder: string): Promise<Int32Array> {
  const shape = SAMPLE_SHAPES.find((name) => name === values.like)
  if (shape === undefined) throw new Error(`--like is one of ${SAMPLE_SHAPES.join(', ')}`)
  const vocabSize = Number(values.vocab)
  if (!existsSync(join(folder, 'config.json'))) {
    await writeSampleCheckpoint({
      shape,
      folder,
      layerCount: Number(values.layers),
      hasHead: false,
      hasVision: false,
      mtpLayout: 'none',
      numbers: { vocabSize, fullAttentionInterval: 2 },
      tokenizerFolder: values.tokenizer,
    })
  }
  // The same ids for every implementation that is compared; a plain generator, so that a file is all they need.
  const ids = new Int32Array(Number(values.samples) * Number(values['seq-len']))
  let state = 12345
  for (let i = 0; i < ids.length; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    ids[i] = Math.floor((state / 2 ** 32) * vocabSize)
  }
  await writeFile(join(folder, IDS_FILE), ids)
  return ids
}

async function measure(folder: string, ids: Int32Array, device: Device): Promise<Measured> {
  const { checkpoint, model, folder: source } = await openModel(folder)
  const handles: FileHandle[] = []
  for (const { fileName } of checkpoint.shards) handles.push(await open(source.pathOf(fileName), 'r'))
  const notices: string[] = []
  const startedMs = performance.now()
  const client = await DeviceClient.start({
    workerFile: fileURLToPath(new URL('./device.worker.js', import.meta.url)),
    device,
    onNotice: (message) => notices.push(message),
  })
  try {
    const openedMs = performance.now()
    const time = Number(values['seq-len'])
    const batches = [{ batch: ids.length / time, time, ids }]
    const gpuBudgetBytes = values['gpu-gb'] === undefined ? undefined : Number(values['gpu-gb']) * 1e9
    const descriptors = handles.map(({ fd }) => fd)
    await client.startCalibration({ model, descriptors, batches, gpuBudgetBytes })
    const embeddedMs = performance.now()
    let stats = EMPTY_STATS
    const layerSeconds: number[] = []
    for (let layer = 0; layer < model.text.layerCount; layer += 1) {
      const beginMs = performance.now()
      stats = mergeStats(stats, await client.runLayer(layer))
      layerSeconds.push((performance.now() - beginMs) / 1000)
    }
    const layersMs = performance.now()
    const finished = await client.finishCalibration()
    return {
      stats: mergeStats(stats, finished.stats),
      costs: finished.costs,
      bytesRead: finished.bytesRead,
      openSeconds: (openedMs - startedMs) / 1000,
      embedSeconds: (embeddedMs - openedMs) / 1000,
      layerSeconds,
      finishSeconds: (performance.now() - layersMs) / 1000,
      notices,
    }
  } finally {
    await client.close()
    for (const handle of handles) await handle.close()
  }
}

/** Multiplications and additions of all matrix products with weights. */
function weightFlops(text: QwenTextConfig, tokens: number): number {
  const { hiddenSize: h, headCount, kvHeadCount, headDim, topK, expertWidth, sharedExpertWidth } = text
  const keys = text.linearKeyHeadCount * text.linearKeyHeadDim
  const linearValues = text.linearValueHeadCount * text.linearValueHeadDim
  const linear = h * (2 * keys + 3 * linearValues + 2 * text.linearValueHeadCount)
  const full = h * (3 * headCount * headDim + 2 * kvHeadCount * headDim)
  const moe = 3 * h * (topK * expertWidth + sharedExpertWidth) + h * (text.expertCount + 1)
  const mixers = text.layerKinds.reduce((sum, kind) => sum + (kind === 'linear_attention' ? linear : full), 0)
  return 2 * tokens * (mixers + text.layerCount * moe)
}

function summarise(measured: Measured, text: QwenTextConfig, tokens: number): object {
  const { embedSeconds, layerSeconds, finishSeconds, costs } = measured
  const seconds = layerSeconds.reduce((sum, value) => sum + value, embedSeconds + finishSeconds)
  const runs = [...costs.runs].map(([kind, cost]) => ({ kind, ...cost }))
  const bytes = (name: 'bytesUp' | 'bytesDown'): number => runs.reduce((sum, cost) => sum + cost[name], 0)
  return {
    seconds,
    openSeconds: measured.openSeconds,
    embedSeconds,
    layerSeconds,
    finishSeconds,
    teraflopsPerSecond: weightFlops(text, tokens) / seconds / 1e12,
    bytesRead: measured.bytesRead,
    bytesUp: bytes('bytesUp'),
    bytesDown: bytes('bytesDown'),
    helperReadSeconds: costs.readMs / 1000,
    helperConvertSeconds: costs.convertMs / 1000,
    waitedForUnitsSeconds: costs.waitMs / 1000,
    runs,
    notices: measured.notices,
  }
}

/** How far the statistics are from those of the CPU. */
function compare(actual: CalibrationStats, expected: CalibrationStats): object {
  let amax = 0
  let where = ''
  for (const [name, reference] of expected.amax) {
    for (const [index, value] of reference.entries()) {
      const other = actual.amax.get(name)?.[index] ?? Number.NaN
      const deviation = value === other ? 0 : Math.abs(other - value) / Math.abs(value)
      if (deviation <= amax) continue
      amax = deviation
      where = `${name}[${String(index)}]`
    }
  }
  let moved = 0
  let total = 0
  for (const [name, reference] of expected.expertTokens) {
    for (const [index, value] of reference.entries()) {
      moved += Math.abs(value - (actual.expertTokens.get(name)?.[index] ?? 0)) / 2
      total += value
    }
  }
  return { largestAmaxDeviation: amax, where, movedTokens: moved, routedTokens: total }
}

async function main(): Promise<void> {
  const folder = values.folder
  const device = DEVICES.find((name) => name === values.device)
  if (folder === undefined || device === undefined) throw new Error('give --folder and --device')
  const ids = await prepare(folder)
  const { checkpoint, model, folder: source } = await openModel(folder)
  const warmedAt = performance.now()
  for (const { fileName } of checkpoint.shards) await warm(source.pathOf(fileName))
  const warmSeconds = (performance.now() - warmedAt) / 1000
  const results: object[] = []
  let last: Measured | undefined
  for (let run = 0; run < Number(values.repeat); run += 1) {
    last = await measure(folder, ids, device)
    results.push(summarise(last, model.text, ids.length))
  }
  const peakResidentBytes = process.resourceUsage().maxRSS * 1024
  const check =
    values.check && last !== undefined
      ? compare(last.stats, (await measure(folder, ids, 'cpu')).stats)
      : undefined
  const { like, layers, samples, 'seq-len': sequenceLength } = values
  process.stdout.write(
    `${JSON.stringify({
      ...{ like, layers, samples, sequenceLength, device, node: process.version },
      checkpointBytes: checkpoint.totalTensorBytes,
      ...{ warmSeconds, peakResidentBytes, results, check },
    })}\n`,
  )
}

/** Into the page cache, and nothing else: in pieces that are dropped. */
async function warm(path: string): Promise<void> {
  const handle = await open(path, 'r')
  const piece = new Uint8Array(16 * 1024 * 1024)
  try {
    while ((await handle.read(piece, 0, piece.length, null)).bytesRead > 0);
  } finally {
    await handle.close()
  }
}

await main()

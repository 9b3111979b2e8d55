/**
 * The built device worker on WebGPU, on a software Vulkan driver, against the f64 reference and the CPU: activations on the device, weights
 * prepared by helper threads, bytes handed on for export. Without a driver it is skipped, and says so.
 */
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import { beforeAll, describe, expect, test } from 'vitest'
import type { CalibrationStats } from '../../../main/engine/calibration/stats.ts'
import { EMPTY_STATS, mergeStats } from '../../../main/engine/calibration/stats.ts'
import type { QwenTextConfig } from '../../../main/engine/models/qwen3_5-moe/text-config.ts'
import { DeviceClient } from '../../../main/host/pool/device-client.ts'
import type { UnitRequest } from '../../../main/workers/unit-protocol.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { makeMemoryModel, SMALL_CONFIG, type MemoryModel } from '../../tools/memory-model.ts'
import { ReferenceForward } from '../../tools/reference-forward.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const WORKER = join(import.meta.dirname, '../../../out/main/device.worker.js')
const CANDIDATES = [process.env['VK_ICD_FILENAMES'], '/usr/lib/chromium/vk_swiftshader_icd.json']
const driver = CANDIDATES.find((path) => path !== undefined && existsSync(path))
if (driver === undefined) process.stderr.write('skipped: no Vulkan driver; set VK_ICD_FILENAMES to one\n')
/** Relative, for maxima of f32 sums in another order. */
const TOLERANCE = 1e-3

const IDS = Int32Array.from([1, 2, 3, 60, 0, 7, 7, 7, 8, 9, 30, 31])
const BATCHES = [
  { batch: 2, time: 4, ids: IDS.subarray(0, 8) },
  { batch: 1, time: 4, ids: IDS.subarray(8) },
]

let folder: string
beforeAll(async () => {
  folder = await temporaryFolder()
  process.env['VK_ICD_FILENAMES'] = driver
})

interface Lender {
  readonly port: import('node:worker_threads').MessagePort
  readonly filled: { layerIndex: number | undefined; bytes: Map<number, Uint8Array> }[]
  close(): void
}

/** Lends memory like the host and copies what comes back. */
function lend(): Lender {
  const { port1, port2 } = new MessageChannel()
  const filled: Lender['filled'] = []
  port1.on('message', (message: UnitRequest) => {
    if (message.kind === 'memory_wanted') {
      port1.postMessage({ kind: 'memory', buffer: new SharedArrayBuffer(Math.max(8, message.sizeBytes)) })
      return
    }
    if (message.kind === 'layer_read') return
    const bytes = new Map<number, Uint8Array>()
    for (const { offsetBytes, sizeBytes, bufferOffsetBytes } of message.ranges) {
      bytes.set(offsetBytes, new Uint8Array(message.buffer, bufferOffsetBytes, sizeBytes).slice())
    }
    filled.push({ layerIndex: message.layerIndex, bytes })
  })
  return { port: port2, filled, close: () => port1.close() }
}

async function calibrate(
  { model, bytes }: MemoryModel,
  device: 'cpu' | 'webgpu',
  lender?: Lender,
): Promise<{ stats: CalibrationStats; bytesRead: number; notices: string[] }> {
  const path = join(folder, 'weights.bin')
  writeFileSync(path, bytes)
  const descriptor = openSync(path, 'r')
  const notices: string[] = []
  const client = await DeviceClient.start({
    workerFile: WORKER,
    device,
    threads: 1,
    onNotice: (message) => notices.push(message),
  })
  try {
    await client.startCalibration({
      model,
      descriptors: [descriptor],
      batches: BATCHES,
      unitPort: lender?.port,
    })
    let stats = EMPTY_STATS
    for (let layer = 0; layer < model.text.layerCount; layer += 1) {
      stats = mergeStats(stats, await client.runLayer(layer))
    }
    const finished = await client.finishCalibration()
    return { stats: mergeStats(stats, finished.stats), bytesRead: finished.bytesRead, notices }
  } finally {
    await client.close()
    closeSync(descriptor)
  }
}

const CASES: readonly [name: string, change: Partial<QwenTextConfig>, dtype: 'BF16' | 'F16' | 'F32'][] = [
  ['seven experts, three of a token', {}, 'BF16'],
  [
    'as many key as value heads, one key head for all queries, F16',
    {
      linearKeyHeadCount: 3,
      linearValueHeadCount: 3,
      headCount: 3,
      kvHeadCount: 1,
      headDim: 10,
      rotaryDim: 2,
      topK: 1,
    },
    'F16',
  ],
  ['more experts than one run has, wider, F32', { expertCount: 40, topK: 5, hiddenSize: 40 }, 'F32'],
]

describe.skipIf(driver === undefined)('webgpu', () => {
  test.each(CASES)(
    '%s: counts and maxima of the reference',
    async (_, change, dtype) => {
      const text = { ...SMALL_CONFIG, ...change }
      const made = makeMemoryModel(text, dtype, 21)
      const { stats, notices } = await calibrate(made, 'webgpu')
      expect(notices).toEqual([])
      const reference = new ReferenceForward(text, made.values, made.model.prefix)
      let sequences = BATCHES.flatMap(({ batch, time, ids }) =>
        Array.from({ length: batch }, (_unused, row) =>
          reference.embed([...ids.subarray(row * time, (row + 1) * time)]),
        ),
      )
      for (let layer = 0; layer < text.layerCount; layer += 1) {
        const results = sequences.map((sequence) => reference.layer(layer, sequence))
        sequences = results.map(({ hidden }) => hidden.map((row) => [...row]))
        const experts = `${made.model.prefix}.layers.${String(layer)}.mlp.experts`
        const counts = new Array<number>(text.expertCount).fill(0)
        for (const expert of results.flatMap(({ chosen }) => chosen.flat())) counts[expert] += 1
        expect([...(stats.expertTokens.get(experts) ?? [])]).toEqual(counts)
        for (const part of ['gate_up', 'down']) {
          const values = stats.amax.get(`${experts}.${part}_proj_input_quantizer`) ?? []
          for (const [expert, value] of [...values].entries()) {
            const wanted = Math.max(
              0,
              ...results.map(({ amax }) => amax.get(`${part}.${String(expert)}`) ?? 0),
            )
            expect(Math.abs(value - wanted), `${part} ${String(expert)}`).toBeLessThanOrEqual(
              TOLERANCE * wanted,
            )
          }
        }
      }
    },
    120_000,
  )

  test('every site as on the CPU; every byte of a layer read once and handed on as it is in the file', async () => {
    const made = makeMemoryModel(SMALL_CONFIG, 'BF16', 22)
    const lender = lend()
    const gpu = await calibrate(made, 'webgpu', lender)
    const cpu = await calibrate(made, 'cpu')
    expect([...gpu.stats.amax.keys()].sort()).toEqual([...cpu.stats.amax.keys()].sort())
    for (const [name, values] of cpu.stats.amax) {
      for (const [index, value] of values.entries()) {
        const deviation = Math.abs((gpu.stats.amax.get(name)?.[index] ?? Number.NaN) - value)
        expect(deviation, name).toBeLessThanOrEqual(TOLERANCE * value)
      }
    }
    expect(gpu.bytesRead).toBe(cpu.bytesRead)
    const handedOn = lender.filled.flatMap(({ bytes }) => [...bytes])
    for (const [offset, bytes] of handedOn) {
      expect(bytes).toEqual(made.bytes.slice(offset, offset + bytes.length))
    }
    const layerBytes = made.model.exportOrder
      .flatMap((item) =>
        item.layerIndex === undefined || item.kind === 'kv_cache'
          ? []
          : item.kind === 'experts'
            ? item.experts.flatMap(({ gate, up, down }) => [gate, up, down])
            : [item.source],
      )
      .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    expect(handedOn.reduce((sum, [, bytes]) => sum + bytes.length, 0)).toBe(layerBytes)
    expect(new Set(handedOn.map(([offset]) => offset)).size).toBe(handedOn.length)
    lender.close()
  }, 120_000)

  test('closing while the helpers wait for memory that nobody lends', async () => {
    const made = makeMemoryModel(SMALL_CONFIG, 'BF16', 23)
    const path = join(folder, 'weights.bin')
    writeFileSync(path, made.bytes)
    const descriptor = openSync(path, 'r')
    const client = await DeviceClient.start({ workerFile: WORKER, device: 'webgpu', threads: 1 })
    const { port1, port2 } = new MessageChannel()
    const asked = new Promise((resolve) => {
      port1.on('message', resolve)
    })
    await client.startCalibration({
      model: made.model,
      descriptors: [descriptor],
      batches: BATCHES,
      unitPort: port2,
    })
    const running = errorOf(() => client.runLayer(0))
    expect(await asked).toMatchObject({ kind: 'memory_wanted' })
    await client.close()
    expect((await running).code).toBe('CANCELLED')
    port1.close()
    closeSync(descriptor)
  }, 60_000)

  test('a NaN weight is named, though another thread finds it', async () => {
    const made = makeMemoryModel(SMALL_CONFIG, 'BF16', 24)
    const experts = made.model.exportOrder.find(({ kind }) => kind === 'experts')
    if (experts?.kind !== 'experts') throw new Error('the model has no experts')
    const { up } = experts.experts[4]
    made.bytes.set([0xc0, 0x7f], up.offsetBytes + 6)
    const error = await errorOf(() => calibrate(made, 'webgpu'))
    expect([error.code, error.subject]).toEqual(['WEIGHT_NOT_FINITE', up.name])
    expect(error.problem).toContain('element 3 ')
  }, 60_000)
})

/** A calibration that goes on from a kept state ends as one that never stopped, and repeats nothing; a state that is not its own is refused. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { parseAmaxDump, writeCalibrationDump } from '../../../../../main/engine/calibration/amax-dump.ts'
import { Calibrator } from '../../../../../main/engine/calibration/calibrator.ts'
import { mergeStats, type CalibrationStats } from '../../../../../main/engine/calibration/stats.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import {
  loadBoundary,
  saveBoundary,
  type FileSeal,
} from '../../../../../main/engine/io/node/boundary-file.ts'
import type { StateRows } from '../../../../../main/engine/calibration/layer-pass.ts'
import type { GraphRuntime } from '../../../../../main/engine/onnx/graph-runtime.ts'
import { errorOf } from '../../../../tools/expect-error.ts'
import { makeMemoryModel, MemoryReader, SMALL_CONFIG } from '../../../../tools/memory-model.ts'
import { temporaryFolder } from '../../../../tools/temporary-folder.ts'

const cpu = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => cpu.close())

const { model, bytes } = makeMemoryModel(
  {
    ...SMALL_CONFIG,
    layerCount: 3,
    layerKinds: ['linear_attention', 'full_attention', 'linear_attention'],
  },
  'BF16',
  4,
)
const batches = [{ batch: 2, time: 5, ids: Int32Array.from([1, 2, 3, 60, 0, 7, 7, 7, 8, 9]) }]
const { hiddenSize } = SMALL_CONFIG
const KEY = { inputs: 'these tokens', tokenCount: 10, hiddenSize, qualityTokens: 0 }

/** Counts runs of graphs; `resident` keeps activations on the far side, as a GPU does. */
function counting(isResident: boolean): { readonly runtime: GraphRuntime; readonly runs: string[] } {
  const runs: string[] = []
  const counted = <T extends { run: (feeds: never) => unknown }>(session: T, name: string): T => ({
    ...session,
    release: () => (session as unknown as { release(): Promise<void> }).release(),
    run: (feeds: never) => {
      runs.push(name)
      return session.run(feeds)
    },
  })
  const { resident } = cpu
  if (resident === undefined) throw new Error('the CPU keeps nothing')
  const runtime: GraphRuntime = {
    device: isResident ? 'webgpu' : 'cpu',
    load: async (graph, name) => counted(await cpu.load(graph, name), name),
    resident: {
      acceptsHalf: () => resident.acceptsHalf(),
      load: async (graph, name, outputs) => counted(await resident.load(graph, name, outputs), name),
    },
  }
  return { runtime, runs }
}

async function start(runtime: GraphRuntime): Promise<Calibrator> {
  return Calibrator.create({ model, runtime, reader: new MemoryReader(bytes), batches })
}

async function finish(calibrator: Calibrator, from: number, before: CalibrationStats): Promise<Uint8Array> {
  let stats = before
  for (let layer = from; layer < 3; layer += 1) stats = mergeStats(stats, await calibrator.runLayer(layer))
  return writeCalibrationDump(mergeStats(stats, await calibrator.finish()))
}

async function keptAfterLayer0(
  runtime: GraphRuntime,
  path: string,
): Promise<{ readonly seal: FileSeal; readonly undisturbed: Uint8Array }> {
  const calibrator = await start(runtime)
  await calibrator.embed()
  const stats = await calibrator.runLayer(0)
  const boundary = { layersDone: 1, stats: writeCalibrationDump(stats), quality: [] }
  const seal = await saveBoundary(path, KEY, boundary, { original: calibrator })
  return { seal, undisturbed: await finish(calibrator, 1, stats) }
}

test.each([
  ['on this side', false],
  ['on a device', true],
])('with activations %s: the same bits, and neither embedding nor layer 0 again', async (_, isResident) => {
  const path = join(await temporaryFolder(), 'state')
  const first = counting(isResident)
  const { seal, undisturbed } = await keptAfterLayer0(first.runtime, path)
  const second = counting(isResident)
  const calibrator = await start(second.runtime)
  const { layersDone, stats } = await loadBoundary(path, seal, KEY, { original: calibrator })
  expect(layersDone).toBe(1)
  expect(await finish(calibrator, 1, parseAmaxDump('state', stats))).toEqual(undisturbed)
  const attention = (runs: readonly string[]): string[] => runs.filter((name) => name.endsWith('_attention'))
  expect(attention(first.runs)).toEqual(['linear_attention', 'full_attention', 'linear_attention'])
  expect(attention(second.runs)).toEqual(['full_attention', 'linear_attention'])
  expect(second.runs.filter((name) => name.startsWith('embedding'))).toEqual([])
})

test('states of the second stream come back behind those of the first, with what was measured; without it they are left alone', async () => {
  const path = join(await temporaryFolder(), 'state')
  const rows = (count: number, from: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: count * hiddenSize }, (_, index) => from + index)
  const key = { ...KEY, tokenCount: 3, qualityTokens: 2 }
  const quality = [{ layerIndex: 0, relativeError: 0.25, cosine: 0.5, experts: [] }]
  const gives = (first: Float32Array<ArrayBuffer>, second: Float32Array<ArrayBuffer>) => ({
    exportStates: (take: StateRows) => {
      take(0, first)
      take(first.length / hiddenSize, second)
      return Promise.resolve()
    },
  })
  const original = gives(rows(2, 0), rows(1, 500))
  const quantized = gives(rows(1, 1000), rows(1, 2000))
  const boundary = { layersDone: 1, stats: Uint8Array.of(7), quality }
  const seal = await saveBoundary(path, key, boundary, { original, quantized })
  const taken: number[][] = []
  const takes = (count: number) => ({
    importStates: (fill: StateRows) => {
      const target = new Float32Array(hiddenSize)
      for (let row = 0; row < count; row += 1) {
        fill(row, target)
        taken.push([target[0] ?? 0, target.at(-1) ?? 0])
      }
      return Promise.resolve()
    },
  })
  const last = hiddenSize - 1
  const own = [
    [0, last],
    [hiddenSize, hiddenSize + last],
    [500, 500 + last],
  ]
  const both = await loadBoundary(path, seal, key, { original: takes(3), quantized: takes(2) })
  expect(both).toEqual(boundary)
  expect(taken).toEqual([...own, [1000, 1000 + last], [2000, 2000 + last]])
  taken.length = 0
  const without = await loadBoundary(path, seal, { ...key, qualityTokens: 0 }, { original: takes(3) })
  expect(without).toEqual({ ...boundary, quality: [] })
  expect(taken).toEqual(own)
})

describe('is refused before the calibration is touched', () => {
  const untouched = {
    original: {
      importStates: () => {
        throw new AppError('INVARIANT', { subject: 'test', problem: 'it was touched', remedy: 'none' })
      },
    },
  }

  test.each([
    [
      'one bit is another',
      (file: Uint8Array) => file.map((byte, at) => (at === file.length - 9 ? byte ^ 1 : byte)),
    ],
    ['its end is missing', (file: Uint8Array) => file.slice(0, -4)],
    ['it is empty', () => new Uint8Array(0)],
  ])('when %s', async (_, damage) => {
    const path = join(await temporaryFolder(), 'state')
    const { seal } = await keptAfterLayer0(cpu, path)
    await writeFile(path, damage(await readFile(path)))
    expect((await errorOf(() => loadBoundary(path, seal, KEY, untouched))).code).toBe('JOURNAL_INVALID')
  })

  test('when it is of other data, although its hash is right', async () => {
    const path = join(await temporaryFolder(), 'state')
    const { seal } = await keptAfterLayer0(cpu, path)
    for (const key of [
      { ...KEY, inputs: 'others' },
      { ...KEY, tokenCount: 11 },
      { ...KEY, qualityTokens: 10 },
    ]) {
      expect((await errorOf(() => loadBoundary(path, seal, key, untouched))).code).toBe('JOURNAL_INVALID')
    }
  })

  test('when it is gone', async () => {
    const path = join(await temporaryFolder(), 'state')
    const seal = { sizeBytes: 8, sha256: '' }
    expect((await errorOf(() => loadBoundary(path, seal, KEY, untouched))).code).toBe('READ_FAILED')
  })
})

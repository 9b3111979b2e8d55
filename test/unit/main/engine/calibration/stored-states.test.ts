/** A memory limit moves numbers to a file and changes none of them; a full disk is told as such. */
import { afterAll, describe, expect, test } from 'vitest'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { writeCalibrationDump } from '../../../../../main/engine/calibration/amax-dump.ts'
import { Calibrator } from '../../../../../main/engine/calibration/calibrator.ts'
import { evaluatePerplexity } from '../../../../../main/engine/calibration/evaluate-perplexity.ts'
import { StoredStates } from '../../../../../main/engine/calibration/stored-states.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import { errorOf } from '../../../../tools/expect-error.ts'
import { makeMemoryModel, MemoryReader, SMALL_CONFIG } from '../../../../tools/memory-model.ts'
import { MemoryScratch } from '../../../../tools/memory-scratch.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'BF16', 11)
/** Ten micro-batches of 12 tokens. */
const batches = Array.from({ length: 10 }, (_, index) => ({
  batch: 2,
  time: 6,
  ids: Int32Array.from({ length: 12 }, (_unused, token) => (7 * index + 5 * token) % 61),
}))
const TOKENS = 120
const ROW_BYTES = 4 * SMALL_CONFIG.hiddenSize
const ALL_BYTES = 2 * TOKENS * ROW_BYTES

async function calibrate(limitBytes: number, scratch: MemoryScratch): Promise<Uint8Array> {
  const stateMemory = { limitBytes, openScratch: () => scratch }
  const reader = new MemoryReader(bytes)
  return writeCalibrationDump(
    await (await Calibrator.create({ model, runtime, reader, batches, stateMemory })).runAll(),
  )
}

describe('with a limit', () => {
  test.each([
    ['of nothing', 0],
    ['of half', ALL_BYTES / 2],
    ['of all but one byte', ALL_BYTES - 1],
  ])('%s, statistics are the same bits and bytes were spilled', async (_, limitBytes) => {
    const kept = new MemoryScratch()
    const expected = await calibrate(ALL_BYTES, kept)
    expect(kept.bytesWritten).toBe(0)
    const scratch = new MemoryScratch()
    expect(await calibrate(limitBytes, scratch)).toEqual(expected)
    expect(scratch.bytesWritten).toBeGreaterThan(0)
  })

  test('of nothing, everything lies in the file once, and every part comes back from there', () => {
    const scratch = new MemoryScratch()
    const states = new StoredStates(batches, SMALL_CONFIG, { limitBytes: 0, openScratch: () => scratch })
    for (const matrix of [states.hidden, states.normed]) {
      for (const [index] of batches.entries()) matrix.write(index, new Float32Array(12 * 24).fill(index))
    }
    expect(scratch.bytesWritten).toBe(ALL_BYTES)
    expect(states.batches.map(({ hidden, normed }) => [hidden[0], normed[287]])).toEqual(
      batches.map((_, index) => [index, index]),
    )
  })

  test('perplexity is the same', async () => {
    const evaluate = (limitBytes: number): Promise<unknown> =>
      evaluatePerplexity(
        {
          model,
          runtime,
          reader: new MemoryReader(bytes),
          stateMemory: { limitBytes, openScratch: () => new MemoryScratch() },
        },
        batches,
      )
    expect(await evaluate(0)).toEqual(await evaluate(ALL_BYTES))
  })
})

test('a disk that fills up ends the pass with its own error', async () => {
  const full = new AppError('DISK_FULL', {
    subject: 'scratch',
    problem: 'the disk is full',
    remedy: 'free it',
  })
  const scratch = new MemoryScratch((written) => {
    if (written >= ALL_BYTES) throw full
  })
  expect(await errorOf(() => calibrate(0, scratch))).toBe(full)
})

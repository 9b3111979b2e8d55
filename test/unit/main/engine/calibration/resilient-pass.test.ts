/** A GPU that gives up: statistics must be those of one undisturbed pass, and the user must be told. */
import { afterAll, describe, expect, test } from 'vitest'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import type { ErrorCode } from '../../../../../shared/errors/codes.ts'
import { Calibrator } from '../../../../../main/engine/calibration/calibrator.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import type { GraphRuntime, ResidentDevice } from '../../../../../main/engine/onnx/graph-runtime.ts'
import { errorOf } from '../../../../tools/expect-error.ts'
import { makeMemoryModel, MemoryReader, SMALL_CONFIG } from '../../../../tools/memory-model.ts'

const cpu = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => cpu.close())

const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'BF16', 9)
const batches = [{ batch: 2, time: 5, ids: Int32Array.from([1, 2, 3, 60, 0, 7, 7, 7, 8, 9]) }]

/** Looks like a GPU; run number n of all graphs called `label…` fails when `fails(n)`. */
function flakyGpu(label: string, code: ErrorCode, fails: (run: number) => boolean): GraphRuntime {
  const { resident } = cpu
  if (resident === undefined) throw new Error('the CPU keeps nothing')
  let runs = 0
  const device: ResidentDevice = {
    acceptsHalf: () => resident.acceptsHalf(),
    load: async (graph, name, outputs) => {
      const session = await resident.load(graph, name, outputs)
      return {
        release: () => session.release(),
        run: (feeds) => {
          if (name.startsWith(label)) runs += 1
          if (name.startsWith(label) && fails(runs)) {
            return Promise.reject(
              new AppError(code, { subject: name, problem: 'it is full', remedy: 'none' }),
            )
          }
          return session.run(feeds)
        },
      }
    },
  }
  return { device: 'webgpu', resident: device, load: (graph, name) => cpu.load(graph, name) }
}

async function calibrate(runtime: GraphRuntime): Promise<{ rounded: unknown; notices: string[] }> {
  const notices: string[] = []
  const calibrator = await Calibrator.create({
    model,
    runtime,
    reader: new MemoryReader(bytes),
    batches,
    fallback: {
      toCpu: () => Promise.resolve({ runtime: cpu, reader: new MemoryReader(bytes) }),
      plainReader: () => Promise.resolve(new MemoryReader(bytes)),
      onNotice: (message) => notices.push(message),
    },
  })
  const { amax, expertTokens, tokenCount } = await calibrator.runAll()
  const rounded = {
    amax: [...amax].map(([name, values]) => [name, [...values].map((value) => value.toPrecision(5))]).sort(),
    tokens: [...expertTokens],
    tokenCount,
  }
  return { rounded, notices }
}

describe('goes on after', () => {
  test.each([
    ['one failure in the second layer', 'full_attention', (run: number) => run === 1, ['smaller runs']],
    ['a failure at the last norm', 'final_norm', (run: number) => run === 1, ['smaller runs']],
    ['a failure while embedding', 'embedding', (run: number) => run === 1, ['smaller runs']],
    ['failures until the CPU takes over', 'experts', () => true, ['smaller runs', 'smaller runs', 'the CPU']],
  ])('%s', async (_, label, fails, ends) => {
    const expected = (await calibrate(cpu)).rounded
    const { rounded, notices } = await calibrate(flakyGpu(label, 'DEVICE_OUT_OF_MEMORY', fails))
    expect(rounded).toEqual(expected)
    expect(notices).toHaveLength(ends.length)
    for (const [index, end] of ends.entries()) expect(notices[index]).toContain(`going on with ${end}`)
  })

  test('the loss of the device, on the CPU at once', async () => {
    const expected = (await calibrate(cpu)).rounded
    const { rounded, notices } = await calibrate(flakyGpu('moe_front', 'DEVICE_LOST', (run) => run === 2))
    expect(rounded).toEqual(expected)
    expect(notices).toEqual(['webgpu was lost (it is full); going on with the CPU'])
  })
})

test('any other failure is not hidden', async () => {
  const error = await errorOf(() => calibrate(flakyGpu('moe_front', 'INVARIANT', () => true)))
  expect(error.code).toBe('INVARIANT')
})

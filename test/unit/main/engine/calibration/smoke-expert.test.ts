/** A device that answers wrongly and is believed, or a right one that is refused, would show here. */
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  expertOutput,
  smokeExpert,
  type SmokeExpert,
} from '../../../../../main/engine/calibration/smoke-expert.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import { DescriptorReader } from '../../../../../main/engine/io/node/descriptor-reader.ts'
import { f32Tensor, type GraphRuntime } from '../../../../../main/engine/onnx/graph-runtime.ts'
import { openSample } from '../../../../tools/open-sample.ts'
import { SAMPLE } from '../../../../tools/sample-path.ts'

test('one unit by hand: 3 · silu(1) · 2', () => {
  const shape = { hiddenSize: 1, expertWidth: 1 }
  const output = expertOutput(shape, Float32Array.of(1), Float32Array.of(1, 2), Float32Array.of(3))
  expect(output[0]).toBeCloseTo(4.38635147178, 10)
})

async function withExpert<T>(
  work: (expert: SmokeExpert, reader: DescriptorReader) => Promise<T>,
): Promise<T> {
  const { checkpoint, model } = await openSample()
  const descriptors = checkpoint.shards.map(({ fileName }) => openSync(join(SAMPLE, fileName), 'r'))
  try {
    const item = model.exportOrder.find(({ kind }) => kind === 'experts')
    if (item?.kind !== 'experts' || item.experts[0] === undefined) throw new Error('no expert')
    const { gate, up, down } = item.experts[0]
    return await work({ config: model.text, gate, up, down }, new DescriptorReader(descriptors))
  } finally {
    descriptors.forEach((descriptor) => {
      closeSync(descriptor)
    })
  }
}

test('the CPU computes an expert of the sample as plain arithmetic does', async () => {
  const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
  const difference = await withExpert((expert, reader) => smokeExpert(expert, runtime, reader))
  await runtime.close()
  expect(difference).toBeLessThan(1e-5)
})

test.each([
  ['zeros', 0],
  ['NaN', Number.NaN],
  ['garbage', 7],
])('a device that answers %s is refused', async (_name, value) => {
  const broken: GraphRuntime = {
    device: 'webgpu',
    load: () =>
      Promise.resolve({
        run: () =>
          Promise.resolve(new Map([['y.0', f32Tensor([4, 256], new Float32Array(1024).fill(value))]])),
        release: () => Promise.resolve(),
      }),
  }
  const refused = withExpert((expert, reader) => smokeExpert(expert, broken, reader))
  await expect(refused).rejects.toMatchObject({ code: 'DEVICE_RESULT_WRONG' })
})

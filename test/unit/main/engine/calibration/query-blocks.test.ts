import { afterAll, expect, test } from 'vitest'
import { fullAttentionGraph } from '../../../../../main/engine/calibration/forward/full-attention.ts'
import { queryBlocks } from '../../../../../main/engine/calibration/forward/query-blocks.ts'
import { rotaryFeeds } from '../../../../../main/engine/calibration/forward/rotary-table.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import { f32Tensor, type GraphTensor } from '../../../../../main/engine/onnx/graph-runtime.ts'
import { randomNumbers, SMALL_CONFIG } from '../../../../tools/memory-model.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

test('blocks cover the sequence, and their scores stay below the limit', () => {
  // 64 heads of a 4096-token sequence: 4 GiB of scores in one piece.
  const blocks = queryBlocks(64, 4096)
  expect(blocks[0]).toEqual({ start: 0, end: 256 })
  expect(blocks).toHaveLength(16)
  expect(blocks.at(-1)?.end).toBe(4096)
  expect(queryBlocks(4, 160)).toEqual([{ start: 0, end: 160 }])
  expect(queryBlocks(1, 3, 1)).toHaveLength(3)
})

test('attention in blocks gives what attention in one piece gives: a block must see all keys before it', async () => {
  const time = 11
  const random = randomNumbers(3)
  const { hiddenSize: h, headCount, kvHeadCount, headDim, rotaryDim, ropeTheta } = SMALL_CONFIG
  const tensor = (...shape: number[]): GraphTensor =>
    f32Tensor(
      shape,
      Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random()),
    )
  const feeds = {
    x: tensor(2, time, h),
    'input_layernorm.weight': tensor(h),
    'self_attn.q_proj.weight': tensor(2 * headCount * headDim, h),
    'self_attn.k_proj.weight': tensor(kvHeadCount * headDim, h),
    'self_attn.v_proj.weight': tensor(kvHeadCount * headDim, h),
    'self_attn.o_proj.weight': tensor(h, headCount * headDim),
    'self_attn.q_norm.weight': tensor(headDim),
    'self_attn.k_norm.weight': tensor(headDim),
    ...rotaryFeeds(time, rotaryDim, ropeTheta),
  }
  const run = async (maxScoreBytes: number): Promise<ArrayLike<number>> => {
    const graph = fullAttentionGraph(SMALL_CONFIG, [], queryBlocks(2 * headCount, time, maxScoreBytes))
    const session = await runtime.load(graph.build(), 'attention')
    return (await session.run(feeds)).get('y')?.data ?? []
  }
  const whole = await run(1 << 20)
  const blocks = await run(4 * 2 * headCount * time * 3)
  expect(whole).toHaveLength(2 * time * h)
  const worst = Math.max(...Array.from(whole, (value, i) => Math.abs(value - blocks[i])))
  expect(worst).toBeLessThan(1e-5)
})

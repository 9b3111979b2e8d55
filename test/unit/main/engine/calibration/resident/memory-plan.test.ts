/** The plan must keep to the budget it was given, for every released shape, or say that it cannot. */
import { describe, expect, test } from 'vitest'
import { planMemory } from '../../../../../../main/engine/calibration/resident/memory-plan.ts'
import { SHAPE_NUMBERS, type SampleShape } from '../../../../../../main/engine/sample/sample-shapes.ts'
import type { QwenTextConfig } from '../../../../../../main/engine/models/qwen3_5-moe/text-config.ts'
import { SMALL_CONFIG } from '../../../../../tools/memory-model.ts'

const UNIT = 96 * 2 ** 20

function configOf(shape: SampleShape): QwenTextConfig {
  const numbers = SHAPE_NUMBERS[shape]
  const { linearHeadDim } = numbers
  return { ...SMALL_CONFIG, ...numbers, linearKeyHeadDim: linearHeadDim, linearValueHeadDim: linearHeadDim }
}

describe.each(['qwen3.5-35b-a3b', 'qwen3.5-122b-a10b', 'qwen3.5-397b-a17b'] as const)('%s', (shape) => {
  const config = configOf(shape)
  const rowBytes = 4 * config.hiddenSize

  test('64 samples of 512 tokens fit, with what is alive at once within the budget', () => {
    const tokens = 64 * 512
    const plan = planMemory(config, { tokenCount: tokens, longest: 512 }, UNIT)
    expect(plan).toBeDefined()
    if (plan === undefined) return
    const states = 2 * tokens * rowBytes
    const side = plan.runTokens * config.topK * rowBytes
    expect(states + plan.outputBytes + side).toBeLessThanOrEqual(plan.budgetBytes)
    expect(plan.budgetBytes).toBeLessThanOrEqual(7e9)
    // One run's outputs must have room, or nothing could ever be added up.
    expect(plan.outputBytes).toBeGreaterThanOrEqual(side)
    expect(side).toBeLessThanOrEqual(512 * 2 ** 20)
  })

  test('smaller runs on request; ten million tokens are refused', () => {
    const tokens = { tokenCount: 64 * 512, longest: 512 }
    const whole = planMemory(config, tokens, UNIT)?.runTokens ?? 0
    const half = planMemory(config, tokens, UNIT, undefined, 0.5)?.runTokens ?? 0
    expect(Math.abs(half - whole / 2)).toBeLessThanOrEqual(1)
    expect(planMemory(config, { tokenCount: 1e7, longest: 512 }, UNIT)).toBeUndefined()
  })
})

test('the 35B shape keeps all outputs of 64 x 512 tokens at once: they are added up in one go', () => {
  const config = configOf('qwen3.5-35b-a3b')
  const plan = planMemory(config, { tokenCount: 64 * 512, longest: 512 }, UNIT)
  expect(plan?.budgetBytes).toBe(4e9)
  expect(plan?.outputBytes).toBeGreaterThanOrEqual(64 * 512 * 8 * 2048 * 4)
})

test('a sequence longer than a run is a run of its own', () => {
  const plan = planMemory(configOf('qwen3.5-35b-a3b'), { tokenCount: 20_000, longest: 10_000 }, UNIT, 7e9)
  expect(plan?.runTokens).toBe(10_000)
})

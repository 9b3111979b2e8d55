/** What a user sees before deciding: totals must add up. */
import { beforeAll, expect, test } from 'vitest'
import type { Checkpoint } from '../../../../../main/engine/checkpoint/checkpoint.ts'
import { inspectText } from '../../../../../main/engine/checkpoint/inspect-text.ts'
import { summariseCheckpoint } from '../../../../../main/engine/checkpoint/summarise-checkpoint.ts'
import type { MoeModel } from '../../../../../main/engine/models/moe-model.ts'
import type { CheckpointSummary } from '../../../../../shared/domain/checkpoint-summary.ts'
import { openSample } from '../../../../tools/open-sample.ts'

let checkpoint: Checkpoint
let model: MoeModel
let summary: CheckpointSummary

beforeAll(async () => {
  const sample = await openSample()
  checkpoint = sample.checkpoint
  model = sample.model
  summary = summariseCheckpoint(checkpoint, model)
})

test('the sample in numbers', () => {
  expect(summary).toMatchObject({
    name: 'tiny-qwen3.5-moe',
    family: 'qwen3_5_moe',
    architecture: 'Qwen3_5MoeForConditionalGeneration',
    layerCount: 4,
    expertCount: 32,
    topK: 4,
    hiddenSize: 256,
    expertWidth: 128,
    vocabSize: 4096,
    tensorCount: 124,
    totalBytes: 40_250_000,
    hasTokenizer: true,
    problems: [],
  })
  expect(summary.shards.map(({ tensorCount, sizeBytes }) => [tensorCount, sizeBytes])).toEqual([
    [62, 10_302_304],
    [19, 11_239_440],
    [26, 11_689_368],
    [17, 7_033_392],
  ])
  expect(summary.bytesByRole[0]).toEqual({ role: 'expert', tensorCount: 8, sizeBytes: 25_165_824 })
  expect(summary.bytesByRole.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(40_250_000)
  expect(summary.bytesByDtype).toEqual([
    { dtype: 'BF16', sizeBytes: 40_249_520 },
    { dtype: 'F32', sizeBytes: 480 },
  ])
  expect(summary.sideFiles.map(({ fileName }) => fileName)).toContain('chat_template.jinja')
  expect(JSON.parse(JSON.stringify(summary))).toEqual(summary)
})

test('text names layout, roles and problems', () => {
  const text = inspectText({
    ...summary,
    problems: [{ severity: 'warning', subject: 'x.weight', message: 'unknown tensor' }],
  })
  for (const part of [
    'qwen3_5_moe',
    '32 per layer, top 4',
    '3 linear attention, 1 full attention',
    'stored fused',
    'warning: x.weight',
  ]) {
    expect(text).toContain(part)
  }
})

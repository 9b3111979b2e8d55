/** The shard rule. A tensor in another file than the reference's changes every byte of both files. */
import { describe, expect, test } from 'vitest'
import { assignShards, shardFileName } from '../../../../../main/engine/pipeline/assign-shards.ts'

describe('assignShards', () => {
  test.each([
    ['fills up to the limit exactly', [4, 6, 1], 10, [[0, 1], [2]]],
    ['starts a new shard on overflow', [6, 5, 4], 10, [[0], [1, 2]]],
    ['an oversized tensor goes first while the current shard stays open', [3, 11, 4], 10, [[1], [0, 2]]],
    ['oversized at the end', [3, 11], 10, [[1], [0]]],
    ['only oversized', [11, 12], 10, [[0], [1]]],
    ['empty tensors are placed too', [0, 10, 0], 10, [[0, 1, 2]]],
    ['nothing', [], 10, []],
  ])('%s', (_, sizes, limit, expected) => {
    expect(assignShards(sizes, limit)).toEqual(expected)
  })

  test.each([0, -1, 1.5, Number.NaN, Infinity])('refuses a limit of %s', (limit) => {
    expect(() => assignShards([1], limit)).toThrow('SHARD_SIZE_INVALID')
  })
})

test('file names', () => {
  expect(shardFileName(0, 1)).toBe('model.safetensors')
  expect(shardFileName(8, 12)).toBe('model-00009-of-00012.safetensors')
})

/** The index names files: a name that leads out of the folder, or an order that is lost, changes which bytes are read or written. */
import { describe, expect, test } from 'vitest'
import { parseIndex } from '../../../../../../main/engine/formats/safetensors/parse-index.ts'
import { errorOf } from '../../../../../tools/expect-error.ts'

test('keeps the order of the file, whatever the names', () => {
  const text =
    '{"metadata":{"total_size":12,"nested":[{"a":[true,null,-1e3]}]},"weight_map":{"z":"b.safetensors","10":"a.safetensors","__proto__":"a.safetensors","2":"b.safetensors"}}'
  expect([...parseIndex(text, 'index')]).toEqual([
    ['z', 'b.safetensors'],
    ['10', 'a.safetensors'],
    ['__proto__', 'a.safetensors'],
    ['2', 'b.safetensors'],
  ])
})

describe('refused', () => {
  test.each([
    '../a.safetensors',
    '/etc/a.safetensors',
    'sub/a.safetensors',
    'sub\\\\a.safetensors',
    '..',
    '',
    'C:a.safetensors',
    'a.bin',
    'a.safetensors/',
    'a\\u0000.safetensors',
  ])('the shard name "%s"', async (shard) => {
    const error = await errorOf(() => parseIndex(`{"weight_map":{"w":"${shard}"}}`, 'index'))
    expect(error).toMatchObject({ code: 'PATH_ESCAPES_CHECKPOINT', subject: 'index: w' })
  })

  test.each([
    ['an array', '[]'],
    ['no weight_map', '{"metadata":{}}'],
    ['a weight_map that is a list', '{"weight_map":[]}'],
    ['a shard that is a number', '{"weight_map":{"w":1}}'],
    ['a tensor listed twice', '{"weight_map":{"w":"a.safetensors","w":"a.safetensors"}}'],
    ['two weight maps', '{"weight_map":{},"weight_map":{}}'],
    ['text behind the end', '{"weight_map":{}} x'],
    ['nesting without end', `{"metadata":${'['.repeat(100_000)}`],
  ])('%s', async (_, text) => {
    expect((await errorOf(() => parseIndex(text, 'index'))).code).toBe('INDEX_INVALID')
  })
})

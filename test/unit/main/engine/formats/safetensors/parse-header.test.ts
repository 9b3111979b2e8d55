/** A header that lies must be refused before its numbers are used: each case is a way to read outside the file or to exhaust memory. */
import { describe, expect, test } from 'vitest'
import { parseShardHeader } from '../../../../../../main/engine/formats/safetensors/parse-header.ts'
import { errorOf } from '../../../../../tools/expect-error.ts'
import { rawShard } from '../../../../../tools/safetensors-bytes.ts'

const parse = (file: Uint8Array<ArrayBuffer>, sizeBytes = file.length): ReturnType<typeof parseShardHeader> =>
  parseShardHeader(file, 'a.safetensors', sizeBytes)

const entry = (dtype: string, shape: string, offsets: string): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`

test('reads tensors, metadata and places', () => {
  const header = `{"__metadata__":{"format":"pt"},"b":${entry('F32', '[2,1]', '[4,12]')}, "a" : ${entry('BF16', '[2]', '[0,4]')},"none":${entry('U8', '[0,7]', '[12,12]')}}  `
  const file = rawShard(header, 12)
  expect(parse(file)).toEqual({
    fileName: 'a.safetensors',
    fileSizeBytes: file.length,
    dataStartBytes: 8 + header.length,
    metadata: new Map([['format', 'pt']]),
    tensors: [
      { name: 'b', dtype: 'F32', shape: [2, 1], beginBytes: 4, endBytes: 12 },
      { name: 'a', dtype: 'BF16', shape: [2], beginBytes: 0, endBytes: 4 },
      { name: 'none', dtype: 'U8', shape: [0, 7], beginBytes: 12, endBytes: 12 },
    ],
  })
})

test('accepts a file without tensors, scalars, and names that mean something to objects', () => {
  expect(parse(rawShard('{}', 0)).tensors).toEqual([])
  const names = ['__proto__', 'constructor', 'tensor \\u00e4 \\ud83d\\ude00', '']
  const entries = names.map(
    (name, i) => `"${name}":${entry('F32', '[]', `[${String(i * 4)},${String(i * 4 + 4)}]`)}`,
  )
  const { tensors } = parse(rawShard(`{${entries.join(',')}}`, 16))
  expect(tensors.map(({ name }) => name)).toEqual(['__proto__', 'constructor', 'tensor ä 😀', ''])
})

const ONE = entry('BF16', '[2]', '[0,4]')

describe('refused', () => {
  test.each([
    ['an empty file', new Uint8Array(0), 'SAFETENSORS_TRUNCATED'],
    ['seven bytes', new Uint8Array(7), 'SAFETENSORS_TRUNCATED'],
    ['a header longer than the file', rawShard('{}', 0, 3n), 'SAFETENSORS_TRUNCATED'],
    ['a header longer than the limit', rawShard('{}', 0, 100_000_001n), 'SAFETENSORS_HEADER_INVALID'],
    ['a header length of 2^64 - 1', rawShard('{}', 0, 2n ** 64n - 1n), 'SAFETENSORS_HEADER_INVALID'],
    ['a header of no bytes', rawShard('', 0), 'SAFETENSORS_HEADER_INVALID'],
    ['white space before the brace', rawShard(' {}', 0), 'SAFETENSORS_HEADER_INVALID'],
    ['an array', rawShard('[]', 0), 'SAFETENSORS_HEADER_INVALID'],
    ['text after the object', rawShard('{}{}', 0), 'SAFETENSORS_HEADER_INVALID'],
    ['a trailing comma', rawShard(`{"a":${ONE},}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    ['an unfinished object', rawShard(`{"a":${ONE}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    ['an unfinished string', rawShard('{"a', 4), 'SAFETENSORS_HEADER_INVALID'],
    ['a line break in a string', rawShard(`{"a\n":${ONE}}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    ['a bad escape', rawShard(`{"\\x61":${ONE}}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    ['a lone surrogate', rawShard(`{"\\ud800":${ONE}}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    ['a duplicate tensor', rawShard(`{"a":${ONE},"a":${ONE}}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    [
      'a duplicate spelled with escapes',
      rawShard(`{"a":${ONE},"\\u0061":${ONE}}`, 4),
      'SAFETENSORS_HEADER_INVALID',
    ],
    [
      'a duplicate field',
      rawShard('{"a":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1),
      'SAFETENSORS_HEADER_INVALID',
    ],
    [
      'an unknown field',
      rawShard('{"a":{"dtype":"U8","shape":[],"offsets":[0,1]}}', 1),
      'SAFETENSORS_HEADER_INVALID',
    ],
    ['a missing field', rawShard('{"a":{"dtype":"U8","shape":[]}}', 1), 'SAFETENSORS_HEADER_INVALID'],
    ['one offset', rawShard(`{"a":${entry('U8', '[]', '[0]')}}`, 1), 'SAFETENSORS_HEADER_INVALID'],
    ['three offsets', rawShard(`{"a":${entry('U8', '[]', '[0,1,1]')}}`, 1), 'SAFETENSORS_HEADER_INVALID'],
    [
      'a negative offset',
      rawShard(`{"a":${entry('BF16', '[2]', '[-4,0]')}}`, 4),
      'SAFETENSORS_HEADER_INVALID',
    ],
    ['a negative size', rawShard(`{"a":${entry('BF16', '[-2]', '[0,4]')}}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    ['a fraction', rawShard(`{"a":${entry('BF16', '[2.0]', '[0,4]')}}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    ['an exponent', rawShard(`{"a":${entry('BF16', '[2e0]', '[0,4]')}}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    [
      'a number above 2^53',
      rawShard(`{"a":${entry('U8', '[]', '[0,9007199254740993]')}}`, 1),
      'SAFETENSORS_HEADER_INVALID',
    ],
    ['a leading zero', rawShard(`{"a":${entry('BF16', '[02]', '[0,4]')}}`, 4), 'SAFETENSORS_HEADER_INVALID'],
    [
      'a rank of 17',
      rawShard(`{"a":${entry('U8', `[${Array(17).fill(1).join(',')}]`, '[0,1]')}}`, 1),
      'SAFETENSORS_HEADER_INVALID',
    ],
    ['metadata that is not text', rawShard('{"__metadata__":{"a":1}}', 0), 'SAFETENSORS_HEADER_INVALID'],
    ['nested metadata', rawShard('{"__metadata__":{"a":{"b":"c"}}}', 0), 'SAFETENSORS_HEADER_INVALID'],
    [
      'a name of 2,000 characters',
      rawShard(`{"${'n'.repeat(2000)}":${ONE}}`, 4),
      'SAFETENSORS_HEADER_INVALID',
    ],
    [
      'bytes that are not UTF-8',
      Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d),
      'SAFETENSORS_HEADER_INVALID',
    ],
    ['an unknown dtype', rawShard(`{"a":${entry('F7', '[2]', '[0,4]')}}`, 4), 'TENSOR_DTYPE_INVALID'],
    [
      'a dtype named like a method',
      rawShard(`{"a":${entry('toString', '[2]', '[0,4]')}}`, 4),
      'TENSOR_DTYPE_INVALID',
    ],
    [
      'a shape whose product overflows',
      rawShard(`{"a":${entry('U8', '[4294967296,4294967296]', '[0,0]')}}`, 0),
      'TENSOR_SHAPE_INVALID',
    ],
    [
      'an overflow hidden by a zero',
      rawShard(`{"a":${entry('U8', '[9007199254740991,9007199254740991,0]', '[0,0]')}}`, 0),
      'TENSOR_SHAPE_INVALID',
    ],
    [
      'an end before the beginning',
      rawShard(`{"a":${entry('BF16', '[2]', '[4,0]')}}`, 4),
      'TENSOR_OUT_OF_BOUNDS',
    ],
    [
      'offsets that do not fit the shape',
      rawShard(`{"a":${entry('BF16', '[3]', '[0,4]')}}`, 4),
      'TENSOR_OUT_OF_BOUNDS',
    ],
    [
      'overlapping tensors',
      rawShard(`{"a":${ONE},"b":${entry('BF16', '[2]', '[2,6]')}}`, 6),
      'TENSOR_OUT_OF_BOUNDS',
    ],
    ['two tensors in one place', rawShard(`{"a":${ONE},"b":${ONE}}`, 4), 'TENSOR_OUT_OF_BOUNDS'],
    ['a hole', rawShard(`{"a":${ONE},"b":${entry('BF16', '[2]', '[6,10]')}}`, 10), 'TENSOR_OUT_OF_BOUNDS'],
    ['a hole at the start', rawShard(`{"a":${entry('BF16', '[2]', '[2,6]')}}`, 6), 'TENSOR_OUT_OF_BOUNDS'],
    ['bytes behind the last tensor', rawShard(`{"a":${ONE}}`, 5), 'TENSOR_OUT_OF_BOUNDS'],
    ['a truncated data section', rawShard(`{"a":${ONE}}`, 3), 'SAFETENSORS_TRUNCATED'],
  ] as const)('%s', async (_, file, code) => {
    const error = await errorOf(() => parse(file))
    expect(error.code).toBe(code)
    expect(error.kind).toBe('data')
    expect(error.subject).toContain('a.safetensors')
  })

  test('names tensor and numbers', async () => {
    const error = await errorOf(() => parse(rawShard(`{"w":${entry('BF16', '[3]', '[0,4]')}}`, 4)))
    expect(error.message).toBe(
      'TENSOR_OUT_OF_BOUNDS: a.safetensors: w: BF16 [3] needs 6 bytes, the offsets span 4. Get an undamaged copy of this file.',
    )
  })

  test('nesting without end does not exhaust the stack', async () => {
    const error = await errorOf(() => parse(rawShard(`{"a":${'['.repeat(200_000)}`, 0)))
    expect(error.code).toBe('SAFETENSORS_HEADER_INVALID')
  })
})

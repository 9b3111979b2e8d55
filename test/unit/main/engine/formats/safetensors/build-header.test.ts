/** One byte of difference in a header makes every exported shard differ from the reference. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { buildShardHeader } from '../../../../../../main/engine/formats/safetensors/build-header.ts'
import { parseShardHeader } from '../../../../../../main/engine/formats/safetensors/parse-header.ts'
import { SAMPLE } from '../../../../../tools/sample-path.ts'

const text = (header: Uint8Array): string => new TextDecoder().decode(header.subarray(8))

test.each([1, 2, 3, 4])(
  'shard %i of the sample, written by the reference library, is reproduced',
  async (number) => {
    const fileName = `model.safetensors-0000${String(number)}-of-00004.safetensors`
    const handle = await open(join(SAMPLE, fileName))
    const head = Buffer.alloc(16_384)
    await handle.read(head, 0, head.length, 0)
    const { size } = await handle.stat()
    await handle.close()
    const { tensors, dataStartBytes } = parseShardHeader(head, fileName, size)
    const built = buildShardHeader([...tensors].reverse())
    expect(Buffer.from(built.header).equals(head.subarray(0, dataStartBytes))).toBe(true)
    expect(built.fileSizeBytes).toBe(size)
  },
)

test('dtypes are stored in the reference order, names by code point within', () => {
  const dtypes = [
    'BOOL', 'U8', 'I8', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0', 'I16', 'U16', 'F16', 'BF16', 'I32', 'U32', 'F32', 'C64', 'F64', 'I64', 'U64',
  ] as const // prettier-ignore
  const tensors = dtypes.map((dtype) => ({ name: dtype, dtype, shape: [] }))
  expect([...buildShardHeader(tensors).offsets.keys()]).toEqual([...dtypes].reverse())
  const names = ['b', 'a.10', 'a.2', 'ｚ', '😀', 'B', 'a']
  const ordered = buildShardHeader(names.map((name) => ({ name, dtype: 'U8', shape: [1] }))).offsets
  expect([...ordered.keys()]).toEqual(['B', 'a', 'a.10', 'a.2', 'b', 'ｚ', '😀'])
  expect(ordered.get('a.2')).toEqual({ beginBytes: 3, endBytes: 4 })
})

test('compact JSON, padded with spaces to a multiple of 8', () => {
  const { header, dataStartBytes, fileSizeBytes } = buildShardHeader([
    { name: 'w"\\\n\u0001é', dtype: 'F32', shape: [] },
    { name: 'v', dtype: 'BF16', shape: [2, 3] },
  ])
  expect(text(header)).toBe(
    '{"__metadata__":{"format":"pt"},"w\\"\\\\\\n\\u0001é":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"v":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]}}     ',
  )
  expect(dataStartBytes % 8).toBe(0)
  expect(dataStartBytes).toBe(header.length)
  expect(fileSizeBytes).toBe(header.length + 16)
  expect(text(buildShardHeader([]).header)).toBe('{"__metadata__":{"format":"pt"}}')
})

test('two tensors of one name are a bug of the caller', () => {
  const tensor = { name: 'a', dtype: 'U8', shape: [1] } as const
  expect(() => buildShardHeader([tensor, tensor])).toThrow('INVARIANT')
})

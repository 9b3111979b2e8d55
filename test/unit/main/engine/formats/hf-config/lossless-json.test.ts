/** A configuration that is rewritten must keep what it does not change: `1e-06` that becomes 0.000001 is another file. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  asNumber,
  asObject,
  parseJson,
  parseJsonObject,
  stringifyLikePython,
} from '../../../../../../main/engine/formats/hf-config/lossless-json.ts'
import { errorOf } from '../../../../../tools/expect-error.ts'
import { SAMPLE } from '../../../../../tools/sample-path.ts'

test('the sample configuration, written by Python with indent 4, is reproduced', async () => {
  const bytes = await readFile(join(SAMPLE, 'config.json'))
  const text = stringifyLikePython(parseJsonObject(bytes, 'config.json'), 4)
  expect(`${text}\n`).toBe(bytes.toString('utf8'))
})

// Expected text printed by json.dumps(..., indent=4) of Python 3.11.
test.each([
  [
    '{"a":[],"b":{},"c":[1,[2.50]]}',
    '{\n    "a": [],\n    "b": {},\n    "c": [\n        1,\n        [\n            2.50\n        ]\n    ]\n}',
  ],
  [
    '"\\u007f\\u0080é\\u2028😀/\\"\\\\\\b\\u0001"',
    '"\\u007f\\u0080\\u00e9\\u2028\\ud83d\\ude00/\\"\\\\\\b\\u0001"',
  ],
  [
    '[1e-06, -0.0, 1E+5, 12345678901234567890, true, null]',
    '[\n    1e-06,\n    -0.0,\n    1E+5,\n    12345678901234567890,\n    true,\n    null\n]',
  ],
])('%s is written as Python does', (source, expected) => {
  expect(stringifyLikePython(parseJson(source, 'a.json'), 4)).toBe(expected)
})

test('keys that mean something to objects are only keys', () => {
  const root = asObject(parseJson('{"__proto__":{"polluted":true},"constructor":7}', 'a.json'))
  expect(Object.keys(root ?? {})).toEqual(['__proto__', 'constructor'])
  expect(asNumber(root?.['constructor'])).toBe(7)
  expect(Reflect.get(root ?? {}, 'toString')).toBeUndefined()
  expect('polluted' in {}).toBe(false)
})

describe('refused with the code of the file', () => {
  test.each([
    ['nothing', ''],
    ['a comment', '{} // x'],
    ['a duplicate key with an equal value', '{"a":1,"a":1}'],
    ['a plus sign', '[+1]'],
    ['NaN', '[NaN]'],
    ['a leading zero', '[01]'],
    ['a missing colon', '{"a" 1}'],
    ['nesting without end', '['.repeat(100_000)],
    ['nesting one level too deep', `${'['.repeat(66)}${']'.repeat(66)}`],
  ])('%s', async (_, text) => {
    expect(await errorOf(() => parseJson(text, 'a.json'))).toMatchObject({
      code: 'CONFIG_INVALID',
      subject: 'a.json',
    })
    expect((await errorOf(() => parseJson(text, 'a.json', 'TOKENIZER_INVALID'))).code).toBe(
      'TOKENIZER_INVALID',
    )
  })

  test('bytes that are not UTF-8, and roots that are not objects', async () => {
    expect(
      (await errorOf(() => parseJsonObject(Uint8Array.of(0x22, 0xff, 0x22), 'a.json'))).message,
    ).toContain('UTF-8')
    expect(
      (await errorOf(() => parseJsonObject(new TextEncoder().encode('[]'), 'a.json'))).message,
    ).toContain('root')
  })
})

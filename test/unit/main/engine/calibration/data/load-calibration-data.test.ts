/** Calibration data of every kind with the sample's own tokenizer. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type {
  CalibrationInput,
  CalibrationRequest,
} from '../../../../../../main/engine/calibration/data/calibration-input.ts'
import { loadCalibrationData } from '../../../../../../main/engine/calibration/data/load-calibration-data.ts'
import { errorOf } from '../../../../../tools/expect-error.ts'
import { rawShard } from '../../../../../tools/safetensors-bytes.ts'
import { SAMPLE } from '../../../../../tools/sample-path.ts'

const file = (name: string): Uint8Array => readFileSync(join(SAMPLE, name))
const tokenizer = {
  tokenizer: file('tokenizer.json'),
  config: file('tokenizer_config.json'),
  chatTemplate: file('chat_template.jinja'),
}

function request(input: CalibrationInput, change: Partial<CalibrationRequest> = {}): CalibrationRequest {
  return { input, tokenizer, separatorId: 0, vocabSize: 4096, samples: 4, sequenceLength: 8, ...change }
}

const text = (kind: 'txt' | 'jsonl', content: string): CalibrationInput => ({
  kind,
  name: `data.${kind}`,
  bytes: new TextEncoder().encode(content),
})

describe('text', () => {
  test('documents are joined with the separator and cut without padding; the rest is dropped', () => {
    const input: CalibrationInput = { kind: 'documents', name: 'd', documents: ['1 2 3', '4 5 6 7 8 9'] }
    const { batch } = loadCalibrationData(request(input, { sequenceLength: 6, samples: 10 }))
    // Digits and single spaces are one token each here: 1␣2␣3 | 0 | 4␣5␣6␣7␣8␣9 | 0
    expect([batch.batch, batch.time]).toEqual([3, 6])
    expect([...batch.ids].map((id) => id === 0)).toEqual([
      ...[false, false, false, false, false, true],
      ...[false, false, false, false, false, false],
      ...[false, false, false, false, false, true],
    ])
  })

  test('only as many windows as asked for', () => {
    const { batch, warnings } = loadCalibrationData(request(text('txt', 'word '.repeat(200)), { samples: 3 }))
    expect([batch.batch, batch.time, batch.ids.length]).toEqual([3, 8, 24])
    expect(warnings).toEqual([])
  })

  test('too little text gives one shorter window and a warning', () => {
    const { batch, warnings } = loadCalibrationData(request(text('txt', '1 2'), { sequenceLength: 512 }))
    expect([batch.batch, batch.time]).toEqual([1, 4])
    expect(warnings[0]).toMatch(/1 of 4 sequences of 4 tokens/)
  })

  test('a sequence longer than the context is refused, naming the file', async () => {
    const long = request(text('txt', 'word '.repeat(50)), { sequenceLength: 33, maxPositions: 32 })
    const error = await errorOf(() => loadCalibrationData(long))
    expect([error.code, error.subject]).toEqual(['CALIBRATION_DATA_INVALID', 'data.txt'])
    expect(error.remedy).toContain('32')
  })

  test('the first line that is not UTF-8 is named, also when a character is cut at its end', async () => {
    const bytes = Uint8Array.of(0xc3, 0xa9, 0x0a, 0x61, 0xe2, 0x82, 0x0a, 0xff)
    const error = await errorOf(() => loadCalibrationData(request({ kind: 'txt', name: 'data.txt', bytes })))
    expect([error.code, error.subject]).toEqual(['CALIBRATION_DATA_INVALID', 'data.txt:2'])
  })

  test.each([
    ['an empty file', '', 'CALIBRATION_DATA_EMPTY'],
    ['bytes that are not UTF-8', undefined, 'CALIBRATION_DATA_INVALID'],
  ])('%s', async (_, content, code) => {
    const input =
      content === undefined ? { ...text('txt', ''), bytes: Uint8Array.of(0xff, 0xfe) } : text('txt', content)
    const error = await errorOf(() => loadCalibrationData(request(input, { separatorId: undefined })))
    expect(error.code).toBe(content === undefined ? 'CALIBRATION_DATA_INVALID' : code)
  })

  test('token ids beyond the model are the tokenizer’s fault', async () => {
    const error = await errorOf(() =>
      loadCalibrationData(request(text('txt', 'hello there'), { vocabSize: 20 })),
    )
    expect(error.code).toBe('TOKENIZER_INVALID')
  })

  test('without a tokenizer', async () => {
    const none = { tokenizer: undefined, config: undefined, chatTemplate: undefined }
    const error = await errorOf(() => loadCalibrationData(request(text('txt', 'a b'), { tokenizer: none })))
    expect(error.code).toBe('TOKENIZER_MISSING')
  })
})

describe('JSON Lines', () => {
  test('text and messages in one file; messages by the chat template', () => {
    const lines = [
      JSON.stringify({ text: '1' }),
      '',
      JSON.stringify({ messages: [{ role: 'user', content: '2' }] }),
    ]
    const { batch } = loadCalibrationData(request(text('jsonl', lines.join('\r\n')), { sequenceLength: 512 }))
    // 1 | separator | <|im_start|> user \n 2 <|im_end|> \n | separator
    expect(batch.ids[1]).toBe(0)
    expect(batch.ids[2]).toBe(1)
    expect([...batch.ids].filter((id) => id === 2)).toHaveLength(1)
    expect(batch.ids.at(-1)).toBe(0)
  })

  test.each([
    ['not JSON', '{"text": "a"}\n{oops', 'data.jsonl:2'],
    ['not an object', '3', 'data.jsonl:1'],
    ['neither text nor messages', '\n\n{"prompt": "a"}', 'data.jsonl:3'],
    ['a message without role', '{"messages": [{"content": "a"}]}', 'data.jsonl:1'],
    ['a message that is not an object', '{"messages": ["a"]}', 'data.jsonl:1'],
  ])('%s names file and line', async (_, content, subject) => {
    const error = await errorOf(() => loadCalibrationData(request(text('jsonl', content))))
    expect([error.code, error.subject]).toEqual(['CALIBRATION_DATA_INVALID', subject])
  })
})

test('a wrong line behind the last one that is needed is found as well', async () => {
  const content = `${JSON.stringify({ text: 'word '.repeat(50) })}\n{oops\n`
  const error = await errorOf(() => loadCalibrationData(request(text('jsonl', content), { samples: 1 })))
  expect(error.subject).toBe('data.jsonl:2')
})

describe('token ids', () => {
  const matrix = (dtype: 'I32' | 'I64', shape: number[], ids: number[]): Uint8Array => {
    const itemBytes = dtype === 'I32' ? 4 : 8
    const header = { input_ids: { dtype, shape, data_offsets: [0, ids.length * itemBytes] } }
    const bytes = rawShard(JSON.stringify(header), ids.length * itemBytes)
    const view = new DataView(bytes.buffer, bytes.length - ids.length * itemBytes)
    ids.forEach((id, i) => {
      if (dtype === 'I32') view.setInt32(i * 4, id, true)
      else view.setBigInt64(i * 8, BigInt(id), true)
    })
    return bytes
  }
  const input = (bytes: Uint8Array): CalibrationInput => ({
    kind: 'safetensors',
    name: 'ids.safetensors',
    bytes,
  })

  test.each(['I32', 'I64'] as const)('%s rows as they are, up to the number of samples', (dtype) => {
    const bytes = matrix(dtype, [3, 2], [1, 2, 3, 4, 5, 6])
    const { batch, warnings } = loadCalibrationData(request(input(bytes), { samples: 2 }))
    expect([batch.batch, batch.time, [...batch.ids]]).toEqual([2, 2, [1, 2, 3, 4]])
    expect(warnings).toEqual([])
  })

  test('fewer rows than asked for are used and reported', () => {
    const bytes = matrix('I32', [3, 2], [1, 2, 3, 4, 5, 6])
    const { batch, warnings } = loadCalibrationData(request(input(bytes), { samples: 5 }))
    expect(batch.batch).toBe(3)
    expect(warnings[0]).toMatch(/3 of 5 sequences of 2 tokens/)
  })

  test('rows longer than the context are refused', async () => {
    const bytes = matrix('I32', [1, 3], [1, 2, 3])
    const error = await errorOf(() => loadCalibrationData(request(input(bytes), { maxPositions: 2 })))
    expect([error.code, error.subject]).toEqual(['CALIBRATION_DATA_INVALID', 'ids.safetensors'])
  })

  test.each([
    ['an id beyond the vocabulary', matrix('I64', [1, 2], [0, 4096]), 'CALIBRATION_DATA_INVALID'],
    ['a negative id', matrix('I32', [1, 2], [0, -1]), 'CALIBRATION_DATA_INVALID'],
    ['one dimension', matrix('I32', [2], [0, 1]), 'CALIBRATION_DATA_INVALID'],
    ['no rows', matrix('I32', [0, 2], []), 'CALIBRATION_DATA_EMPTY'],
    [
      'another name',
      rawShard('{"ids":{"dtype":"I32","shape":[1,1],"data_offsets":[0,4]}}', 4),
      'CALIBRATION_DATA_INVALID',
    ],
    [
      'another type',
      rawShard('{"input_ids":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}', 4),
      'CALIBRATION_DATA_INVALID',
    ],
    ['a damaged header', rawShard('{"input_ids"', 4), 'SAFETENSORS_HEADER_INVALID'],
  ])('%s is refused', async (_, bytes, code) => {
    const error = await errorOf(() => loadCalibrationData(request(input(bytes))))
    expect(error.code).toBe(code)
  })
})

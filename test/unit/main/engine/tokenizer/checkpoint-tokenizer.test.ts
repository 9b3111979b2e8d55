/** The sample's tokenizer, damaged tokenizers, chat templates. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  CheckpointTokenizer,
  type TokenizerFiles,
} from '../../../../../main/engine/tokenizer/checkpoint-tokenizer.ts'
import { errorOf } from '../../../../tools/expect-error.ts'
import { SAMPLE } from '../../../../tools/sample-path.ts'

const read = (name: string): Uint8Array => readFileSync(join(SAMPLE, name))
const files: TokenizerFiles = {
  tokenizer: read('tokenizer.json'),
  config: read('tokenizer_config.json'),
  chatTemplate: read('chat_template.jinja'),
}
const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))
const record = (content: Uint8Array | undefined): Record<string, unknown> =>
  JSON.parse(new TextDecoder().decode(content)) as Record<string, unknown>

describe('encoding', () => {
  const tokenizer = CheckpointTokenizer.create(files)

  test('special tokens written in the text become their ids, and nothing is added', () => {
    expect(tokenizer.encode('<|im_start|><|endoftext|>')).toEqual([1, 0])
    expect(tokenizer.encode('')).toEqual([])
  })

  test('digits are split one by one', () => {
    expect(tokenizer.encode('2026')).toHaveLength(4)
    expect(tokenizer.encode('22')[0]).toBe(tokenizer.encode('2')[0])
  })

  test('text is normalised: composed and decomposed accents give the same ids', () => {
    expect(tokenizer.encode('e\u0301te\u0301')).toEqual(tokenizer.encode('\u00e9t\u00e9'))
  })

  test('the end of a turn is not the end of a document', () => {
    expect(tokenizer.endOfTextId).toBe(2)
    expect(tokenizer.idOf('<|endoftext|>')).toBe(0)
  })

  test('no warning for a file that agrees with its configuration', () => {
    expect(tokenizer.warnings).toEqual([])
  })
})

test('a word splitting that lost combining marks is reported', () => {
  const json = new TextDecoder().decode(files.tokenizer).replaceAll('\\\\p{M}', '')
  const { warnings } = CheckpointTokenizer.create({ ...files, tokenizer: bytes(json) })
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toMatch(/pretokenize_regex/)
})

describe('damaged files', () => {
  test.each<[string, Partial<TokenizerFiles>, string]>([
    ['no tokenizer.json', { tokenizer: undefined }, 'TOKENIZER_MISSING'],
    ['tokenizer.json cut off', { tokenizer: read('tokenizer.json').subarray(0, 1000) }, 'TOKENIZER_INVALID'],
    ['tokenizer.json without model', { tokenizer: bytes({ version: '1.0' }) }, 'TOKENIZER_INVALID'],
    ['tokenizer.json that is a list', { tokenizer: bytes('[]') }, 'TOKENIZER_INVALID'],
    [
      'a model type nobody knows',
      { tokenizer: bytes({ ...record(files.tokenizer), model: { type: 'X' } }) },
      'TOKENIZER_INVALID',
    ],
    ['configuration that is not JSON', { config: bytes('{') }, 'TOKENIZER_INVALID'],
  ])('%s', async (_, change, code) => {
    const error = await errorOf(() => CheckpointTokenizer.create({ ...files, ...change }))
    expect(error.code).toBe(code)
  })
})

describe('chat template', () => {
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
  ]

  test('renders a conversation without opening another turn', () => {
    const text = CheckpointTokenizer.create(files).renderChat(messages, 'data.jsonl:1')
    expect(text).toBe('<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n')
  })

  test('comes from tokenizer_config.json where there is no file, by name when there are several', () => {
    const list = [
      { name: 'tools', template: 'no' },
      { name: 'default', template: '{{ messages[0].content }}!' },
    ]
    const config = bytes({ ...record(files.config), chat_template: list })
    const tokenizer = CheckpointTokenizer.create({ ...files, config, chatTemplate: undefined })
    expect(tokenizer.renderChat(messages, 'd')).toBe('a!')
  })

  test.each<[string, string | undefined, string]>([
    ['the template’s own refusal', "{{ raise_exception('no system message') }}", 'CALIBRATION_DATA_INVALID'],
    ['an endless count', '{% for i in range(1000000000) %}{% endfor %}', 'CALIBRATION_DATA_INVALID'],
    ['a template that is not one', '{% for %}', 'TOKENIZER_INVALID'],
    ['a template of a megabyte', ' '.repeat(1 << 20), 'TOKENIZER_INVALID'],
    ['no template at all', undefined, 'TOKENIZER_INVALID'],
  ])('%s', async (_, template, code) => {
    const chatTemplate = template === undefined ? undefined : bytes(template)
    const tokenizer = CheckpointTokenizer.create({ ...files, chatTemplate })
    const error = await errorOf(() => tokenizer.renderChat(messages, 'data.jsonl:7'))
    expect(error.code).toBe(code)
  })
})

describe('hostile files', () => {
  const withTemplate = (text: string): CheckpointTokenizer =>
    CheckpointTokenizer.create({ ...files, chatTemplate: bytes(text) })
  const loop = (body: string): string => `{% for a in range(10000) %}${body}{% endfor %}`

  test.each([
    ['loops without a body', loop(loop(loop(''))), /steps/],
    [
      'a text that doubles',
      '{% set n = namespace(a="x") %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}{{ n.a }}',
      /characters/,
    ],
    [
      'a list that doubles',
      '{% set n = namespace(a=["x"]) %}{% for i in range(60) %}{% set n.a = n.a + n.a %}{% endfor %}',
      /list of more/,
    ],
    ['a range without end', '{% for i in range(1000000000) %}{% endfor %}', /range of 1000000000/],
  ])('a template with %s is refused', async (_, text, problem) => {
    const error = await errorOf(() => withTemplate(text).renderChat([{ role: 'user' }], 'a.jsonl:1'))
    expect(error.code).toBe('CALIBRATION_DATA_INVALID')
    expect(error.problem).toMatch(problem)
  })

  test('a long conversation is not', () => {
    const messages = Array.from({ length: 2000 }, (_, index) => ({ role: 'user', content: String(index) }))
    const text = withTemplate(
      '{% for m in messages %}{% if messages[loop.index0 - 1].role == m.role %}{{ m.content }}{% endif %}{% endfor %}',
    ).renderChat(messages, 'a.jsonl:1')
    expect(text).toHaveLength(10 + 90 * 2 + 900 * 3 + 1000 * 4)
  })

  test.each(['(a+)+$', '(?:x*)*', '((?:ab)+c?)+', '(\\s+|b){2,}', '(a|[)]+)*'])(
    'a pattern that repeats a repetition is refused: %s',
    async (pattern) => {
      const json = record(files.tokenizer)
      json['pre_tokenizer'] = {
        type: 'Split',
        pattern: { Regex: pattern },
        behavior: 'Isolated',
        invert: false,
      }
      const error = await errorOf(() => CheckpointTokenizer.create({ ...files, tokenizer: bytes(json) }))
      expect(error.code).toBe('TOKENIZER_INVALID')
      expect(error.problem).toContain('repeats a repetition')
    },
  )
})

/**
 * The checkpoint's own tokenizer, from its own files, without network and without code from the checkpoint. Wraps @huggingface/tokenizers
 * and the template engine; adds limits, typed errors and the check that both files describe the same word splitting.
 */
import { Environment, Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import { AppError } from '../../../shared/errors/app-error.ts'
import { BoundedInterpreter } from './bounded-interpreter.ts'
import { hasNestedRepeat } from './pattern-cost.ts'

/** Contents of the files, as bytes; what the checkpoint does not have is absent. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: Uint8Array | undefined
  /** tokenizer_config.json */
  readonly config: Uint8Array | undefined
  /** chat_template.jinja; tokenizer_config.json may hold a template instead */
  readonly chatTemplate: Uint8Array | undefined
}

export interface ChatMessage {
  readonly role: string
  readonly [key: string]: unknown
}

/** CWE-770: tokenizer.json of the largest known vocabulary (262k entries) has 33 MB. */
export const MAX_TOKENIZER_BYTES = 256 * 1024 * 1024
/** CWE-770: released chat templates have less than 20 kB. */
const MAX_TEMPLATE_CHARACTERS = 256 * 1024
/** CWE-834: a template may count to this, not further. */
const MAX_TEMPLATE_RANGE = 10_000

type JsonRecord = Readonly<Record<string, unknown>>

export class CheckpointTokenizer {
  /** What a user should know before trusting the token ids. */
  readonly warnings: readonly string[]
  private readonly tokenizer: Tokenizer
  private readonly config: JsonRecord
  private readonly templateText: string | undefined
  private template: Template | undefined

  private constructor(
    tokenizer: Tokenizer,
    config: JsonRecord,
    template: string | undefined,
    warnings: readonly string[],
  ) {
    this.tokenizer = tokenizer
    this.config = config
    this.templateText = template
    this.warnings = warnings
  }

  /** Throws TOKENIZER_MISSING without tokenizer.json, TOKENIZER_INVALID for files that are damaged, too large or not understood. */
  static create(files: TokenizerFiles): CheckpointTokenizer {
    if (files.tokenizer === undefined) {
      throw new AppError('TOKENIZER_MISSING', {
        subject: 'tokenizer.json',
        problem: 'the checkpoint has no tokenizer',
        remedy: 'add its tokenizer files, or calibrate with a .safetensors file of token ids',
      })
    }
    const json = parseRecord('tokenizer.json', files.tokenizer)
    const config = files.config === undefined ? {} : parseRecord('tokenizer_config.json', files.config)
    const template = files.chatTemplate === undefined ? configTemplate(config) : decode(files.chatTemplate)
    const costly = regexes([json['pre_tokenizer'], json['normalizer']]).find(hasNestedRepeat)
    if (costly !== undefined) {
      const shown = JSON.stringify(costly.slice(0, 80))
      throw invalid('tokenizer.json', `the pattern ${shown} repeats a repetition, which can take for ever`)
    }
    try {
      const tokenizer = new Tokenizer(json, config)
      tokenizer.encode('a', { add_special_tokens: false })
      return new CheckpointTokenizer(tokenizer, config, template, splitWarnings(json, config))
    } catch (error: unknown) {
      throw invalid('tokenizer.json', `it is not understood: ${messageOf(error)}`)
    }
  }

  /** Token ids of a text, without added beginning or end; special tokens written out in the text become their ids. */
  encode(text: string): readonly number[] {
    return this.tokenizer.encode(text, { add_special_tokens: false }).ids
  }

  /** Id of a token by its text; undefined when the vocabulary does not have it. */
  idOf(token: string): number | undefined {
    return this.tokenizer.token_to_id(token)
  }

  /** Id of `eos_token` of tokenizer_config.json. */
  get endOfTextId(): number | undefined {
    const name = tokenText(this.config['eos_token'])
    return name === undefined ? undefined : this.idOf(name)
  }

  /** A conversation as the checkpoint's chat template renders it. Throws CALIBRATION_DATA_INVALID with the template's own message. */
  renderChat(messages: readonly ChatMessage[], subject: string): string {
    const template = this.compileTemplate()
    try {
      const environment = templateEnvironment()
      environment.set('messages', messages)
      environment.set('add_generation_prompt', false)
      environment.set('bos_token', tokenText(this.config['bos_token']) ?? '')
      environment.set('eos_token', tokenText(this.config['eos_token']) ?? '')
      const { value } = new BoundedInterpreter(environment).run(template.parsed)
      return typeof value === 'string' ? value : ''
    } catch (error: unknown) {
      throw new AppError('CALIBRATION_DATA_INVALID', {
        subject,
        problem: `the chat template refuses these messages: ${messageOf(error)}`,
        remedy: 'correct the conversation, or give its text instead of messages',
      })
    }
  }

  private compileTemplate(): Template {
    if (this.template !== undefined) return this.template
    const text = this.templateText
    if (text === undefined) {
      throw invalid('chat_template.jinja', 'the checkpoint has no chat template, but the data has messages')
    }
    if (text.length > MAX_TEMPLATE_CHARACTERS) {
      throw invalid('chat_template.jinja', `it has more than ${String(MAX_TEMPLATE_CHARACTERS)} characters`)
    }
    try {
      this.template = new Template(text)
    } catch (error: unknown) {
      throw invalid('chat_template.jinja', `it is not understood: ${messageOf(error)}`)
    }
    return this.template
  }
}

/** The globals that chat templates expect, with bounds and without the clock: the same data gives the same tokens on any day. */
function templateEnvironment(): Environment {
  const environment = new Environment()
  for (const [name, value] of [
    ['true', true],
    ['True', true],
    ['false', false],
    ['False', false],
    ['none', null],
    ['None', null],
  ] as const) {
    environment.set(name, value)
  }
  environment.set('raise_exception', (message: unknown) => {
    throw new Error(String(message))
  })
  environment.set('range', boundedRange)
  environment.set('strftime_now', () => '2025-01-01')
  return environment
}

/** Python's range with at most MAX_TEMPLATE_RANGE elements; the template engine's own has no limit. */
function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  const length = Math.max(0, Math.ceil((to - from) / step))
  if (!(length <= MAX_TEMPLATE_RANGE)) throw new Error(`range of ${String(length)} elements`)
  return Array.from({ length }, (_, index) => from + index * step)
}

function configTemplate(config: JsonRecord): string | undefined {
  const value = config['chat_template']
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return undefined
  const named = value.filter(isRecord)
  const chosen = named.find(({ name }) => name === 'default') ?? named[0]
  return typeof chosen?.['template'] === 'string' ? chosen['template'] : undefined
}

/** Re-saved checkpoints sometimes carry a tokenizer.json whose splitting lost combining marks; the configuration keeps the original. */
function splitWarnings(json: JsonRecord, config: JsonRecord): readonly string[] {
  const expected = config['pretokenize_regex']
  if (typeof expected !== 'string') return []
  const patterns = splitPatterns(json['pre_tokenizer'])
  if (patterns.includes(expected)) return []
  return [
    'tokenizer.json splits words differently from pretokenize_regex of tokenizer_config.json; texts with combining marks get other token ids',
  ]
}

function splitPatterns(node: unknown): readonly string[] {
  if (!isRecord(node)) return []
  const parts = node['pretokenizers']
  if (Array.isArray(parts)) return parts.flatMap(splitPatterns)
  const pattern = node['pattern']
  return isRecord(pattern) && typeof pattern['Regex'] === 'string' ? [pattern['Regex']] : []
}

/** CWE-674: nesting of a tokenizer's parts; real ones have at most 4. */
const MAX_PART_DEPTH = 32

/** Every `{"Regex": ...}` below. */
function regexes(node: unknown, depth = 0): readonly string[] {
  if (typeof node !== 'object' || node === null || depth > MAX_PART_DEPTH) return []
  return Object.entries(node).flatMap(([key, value]) =>
    key === 'Regex' && typeof value === 'string' ? [value] : regexes(value, depth + 1),
  )
}

/** Special tokens are written as text or as an object with `content`. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return isRecord(value) && typeof value['content'] === 'string' ? value['content'] : undefined
}

function parseRecord(name: string, bytes: Uint8Array): JsonRecord {
  if (bytes.length > MAX_TOKENIZER_BYTES) throw invalid(name, `it has ${String(bytes.length)} bytes`)
  let value: unknown
  try {
    value = JSON.parse(decode(bytes))
  } catch (error: unknown) {
    throw invalid(name, `it is not valid JSON: ${messageOf(error)}`)
  }
  if (!isRecord(value)) throw invalid(name, 'its root is not an object')
  return value
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8').decode(bytes)
}

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 200)
}

function invalid(subject: string, problem: string): AppError {
  return new AppError('TOKENIZER_INVALID', {
    subject,
    problem,
    remedy: 'get undamaged tokenizer files of this model',
  })
}

/** Documents of a JSON Lines file: `text`, or `messages` for the checkpoint's chat template. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { ChatMessage } from '../../tokenizer/checkpoint-tokenizer.ts'

/** CWE-770: a longer line is not a document but another format. */
const MAX_LINE_CHARACTERS = 64 * 1024 * 1024
const MAX_MESSAGES = 10_000

/** A document as its line has it. */
export type JsonlDocument =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'messages'
      readonly messages: readonly ChatMessage[]
      /** `file:line`, for messages about it. */
      readonly subject: string
    }

/** One document per non-blank line, lazily. Throws CALIBRATION_DATA_INVALID naming `file:line`. */
export function* jsonlDocuments(name: string, text: string): Iterable<JsonlDocument> {
  let lineNumber = 0
  for (let begin = 0; begin < text.length;) {
    const newline = text.indexOf('\n', begin)
    const end = newline < 0 ? text.length : newline
    lineNumber += 1
    const subject = `${name}:${String(lineNumber)}`
    if (end - begin > MAX_LINE_CHARACTERS) {
      throw invalid(subject, `the line has more than ${String(MAX_LINE_CHARACTERS)} characters`)
    }
    const line = text.slice(begin, end).trim()
    if (line !== '') yield documentOf(line, subject)
    begin = end + 1
  }
}

function documentOf(line: string, subject: string): JsonlDocument {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error: unknown) {
    throw invalid(subject, `not valid JSON: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
  if (typeof value !== 'object' || value === null) throw invalid(subject, 'the line is not a JSON object')
  if ('text' in value && typeof value.text === 'string') return { kind: 'text', text: value.text }
  if ('messages' in value && Array.isArray(value.messages)) {
    if (value.messages.length > MAX_MESSAGES) throw invalid(subject, 'the conversation is too long')
    const messages = value.messages.map((message) => checkMessage(message, subject))
    return { kind: 'messages', messages, subject }
  }
  throw invalid(subject, 'it has neither a string `text` nor a list `messages`')
}

function checkMessage(message: unknown, subject: string): ChatMessage {
  if (!isMessage(message)) throw invalid(subject, 'a message has no string `role`')
  return message
}

function isMessage(value: unknown): value is ChatMessage {
  return typeof value === 'object' && value !== null && 'role' in value && typeof value.role === 'string'
}

function invalid(subject: string, problem: string): AppError {
  return new AppError('CALIBRATION_DATA_INVALID', {
    subject,
    problem,
    remedy: 'correct the line, or remove it',
  })
}

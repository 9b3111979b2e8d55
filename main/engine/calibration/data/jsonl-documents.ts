/** Documents of a JSON Lines file: `text`, or `messages` rendered by the checkpoint's chat template. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { ChatMessage, CheckpointTokenizer } from '../../tokenizer/checkpoint-tokenizer.ts'

/** CWE-770: a longer line is not a document but another format. */
const MAX_LINE_CHARACTERS = 64 * 1024 * 1024
const MAX_MESSAGES = 10_000

/** One document per non-blank line, lazily. Throws CALIBRATION_DATA_INVALID naming `file:line`. */
export function* jsonlDocuments(
  name: string,
  text: string,
  tokenizer: CheckpointTokenizer,
): Iterable<string> {
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
    if (line !== '') yield documentOf(line, subject, tokenizer)
    begin = end + 1
  }
}

function documentOf(line: string, subject: string, tokenizer: CheckpointTokenizer): string {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error: unknown) {
    throw invalid(subject, `not valid JSON: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
  if (typeof value !== 'object' || value === null) throw invalid(subject, 'the line is not a JSON object')
  if ('text' in value && typeof value.text === 'string') return value.text
  if ('messages' in value && Array.isArray(value.messages)) {
    if (value.messages.length > MAX_MESSAGES) throw invalid(subject, 'the conversation is too long')
    return tokenizer.renderChat(
      value.messages.map((message) => checkMessage(message, subject)),
      subject,
    )
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

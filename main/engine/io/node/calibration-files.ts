/** Reads what calibration needs from disk: the user's file or the built-in text, and the checkpoint's tokenizer files. */
import { readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { AppError } from '../../../../shared/errors/app-error.ts'
import {
  inputKindOf,
  type CalibrationInput,
  type CalibrationRequest,
} from '../../calibration/data/calibration-input.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import { asNumber, asObject, type JsonObject } from '../../formats/hf-config/lossless-json.ts'
import { MAX_TOKENIZER_BYTES, type TokenizerFiles } from '../../tokenizer/checkpoint-tokenizer.ts'
import { builtinDocuments } from './builtin-text.ts'
import { fromNamedFileError } from './fs-error.ts'

/** CWE-770: a text of this size has more tokens than any calibration uses. */
const MAX_INPUT_BYTES = 256 * 1024 * 1024

export interface CalibrationFilesOptions {
  readonly checkpoint: Checkpoint
  readonly vocabSize: number
  /** Positions the model knows; undefined = sequences of any length. */
  readonly maxPositions?: number | undefined
  /** undefined = built-in text. */
  readonly calibrationPath: string | undefined
  readonly samples: number
  /** Sequences at most, where more are looked at than asked for. Absent = `samples`. */
  readonly maxSamples?: number | undefined
  readonly sequenceLength: number
}

/**
 * Everything that loadCalibrationData needs. Throws CALIBRATION_DATA_INVALID for an unknown file ending, FILE_TOO_LARGE, READ_FAILED;
 * TOKENIZER_MISSING when text is given and the checkpoint has no tokenizer.
 */
export async function readCalibrationFiles(options: CalibrationFilesOptions): Promise<CalibrationRequest> {
  const { checkpoint, vocabSize, maxPositions, samples, maxSamples, sequenceLength, calibrationPath } =
    options
  const input =
    calibrationPath === undefined
      ? await builtinInput((maxSamples ?? samples) * sequenceLength)
      : await readInput(calibrationPath)
  const tokenizer = await readTokenizerFiles(checkpoint)
  if (input.kind !== 'safetensors' && tokenizer.tokenizer === undefined) {
    throw new AppError('TOKENIZER_MISSING', {
      subject: `${checkpoint.folder.displayPath}/tokenizer.json`,
      problem: 'the checkpoint has no tokenizer, so text cannot be used for calibration',
      remedy: 'add its tokenizer files, or give a .safetensors file of token ids with --calib',
    })
  }
  return {
    input,
    tokenizer,
    separatorId: endOfDocument(checkpoint.config),
    vocabSize,
    maxPositions,
    samples,
    maxSamples,
    sequenceLength,
  }
}

async function builtinInput(tokens: number): Promise<CalibrationInput> {
  return { kind: 'documents', name: 'built-in text', documents: await builtinDocuments(tokens) }
}

async function readInput(path: string): Promise<CalibrationInput> {
  const kind = inputKindOf(path)
  if (kind === undefined) {
    throw new AppError('CALIBRATION_DATA_INVALID', {
      subject: path,
      problem: 'its name does not end in .txt, .jsonl or .safetensors',
      remedy: 'give a file of one of these kinds, or use the built-in text',
    })
  }
  try {
    const { size } = await stat(path)
    if (size > MAX_INPUT_BYTES) {
      throw new AppError('FILE_TOO_LARGE', {
        subject: path,
        problem: `${String(size)} bytes is more than calibration can use (${String(MAX_INPUT_BYTES)})`,
        remedy: 'give a part of it',
      })
    }
    const bytes = await readFile(path)
    if (bytes.length === 0) {
      throw new AppError('CALIBRATION_DATA_EMPTY', {
        subject: basename(path),
        problem: 'the file is empty',
        remedy: 'give a file with text or token ids',
      })
    }
    return { kind, name: basename(path), bytes }
  } catch (error: unknown) {
    throw fromDataFileError(error, path)
  }
}

/** Failure to reach the data file that the user named. */
export function fromDataFileError(error: unknown, path: string): AppError {
  const remedy = 'give an existing file of text or token ids, or use the built-in text'
  return fromNamedFileError(error, path, 'CALIBRATION_DATA_INVALID', remedy)
}

export async function readTokenizerFiles({ folder }: Checkpoint): Promise<TokenizerFiles> {
  const read = async (name: string): Promise<Uint8Array | undefined> =>
    (await folder.sizeOf(name)) === undefined ? undefined : await folder.readAll(name, MAX_TOKENIZER_BYTES)
  return {
    tokenizer: await read('tokenizer.json'),
    config: await read('tokenizer_config.json'),
    chatTemplate: await read('chat_template.jinja'),
  }
}

/** `eos_token_id` of the text configuration: the end of a document, not of a chat turn. The first of a list. */
function endOfDocument(config: JsonObject): number | undefined {
  const value = (asObject(config['text_config']) ?? config)['eos_token_id']
  return asNumber(Array.isArray(value) ? value[0] : value)
}

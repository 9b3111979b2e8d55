/** What calibration data can be, as bytes that the host has read, and what it becomes. Structured-clone safe: it crosses to a worker. */
import type { TokenizerFiles } from '../../tokenizer/checkpoint-tokenizer.ts'
import type { TokenBatch } from '../hidden-states.ts'

export type CalibrationInput =
  | {
      /** A file of the user. `txt`: one document; `jsonl`: one document a line (`text` or `messages`); `safetensors`: `input_ids` [N, T]. */
      readonly kind: 'txt' | 'jsonl' | 'safetensors'
      /** For messages. */
      readonly name: string
      readonly bytes: Uint8Array
    }
  | { readonly kind: 'documents'; readonly name: string; readonly documents: readonly string[] }

export interface CalibrationRequest {
  readonly input: CalibrationInput
  readonly tokenizer: TokenizerFiles
  /** Put behind every document; undefined = `eos_token` of the tokenizer, if it has one. */
  readonly separatorId: number | undefined
  readonly vocabSize: number
  /** Positions the model knows; undefined = not checked here. */
  readonly maxPositions?: number | undefined
  /** Sequences that were asked for; fewer are a warning. */
  readonly samples: number
  /** Sequences at most, where more are looked at than asked for. Absent = `samples`. */
  readonly maxSamples?: number | undefined
  /** Tokens of a sequence cut from text; the rows of a safetensors matrix stay as they are. */
  readonly sequenceLength: number
}

export interface CalibrationData {
  /** Whole sequences without padding, all of one length. */
  readonly batch: TokenBatch
  /** What differs from what was asked for, as sentences for log and report. */
  readonly warnings: readonly string[]
}

/** Kind of a user's file by its ending; undefined for endings that are not calibration data. */
export function inputKindOf(fileName: string): 'txt' | 'jsonl' | 'safetensors' | undefined {
  const ending = /\.([^.]+)$/.exec(fileName.toLowerCase())?.[1]
  if (ending === 'txt' || ending === 'jsonl' || ending === 'safetensors') return ending
  return undefined
}

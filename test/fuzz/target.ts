/** What the harness needs to know of a parser. */
import type { ErrorKind } from '../../shared/errors/codes.ts'
import type { Random } from './mutate.ts'

export interface FuzzTarget {
  readonly name: string
  /** Inputs that are mutated; besides them the files of `corpus/<name>`. */
  readonly seeds: readonly Uint8Array[]
  /** Kinds of AppError that are an answer. `data`: the file is wrong. `input`: the same for a file or message of the user. */
  readonly kinds: readonly ErrorKind[]
  /** Makes a mutated input consistent, so that it gets past the first check. Called for half of the inputs. */
  readonly repair?: (bytes: Uint8Array<ArrayBuffer>, random: Random) => Uint8Array<ArrayBuffer>
  /** Parses. What it returns is a short word for the statistics. */
  readonly run: (bytes: Uint8Array<ArrayBuffer>) => Promise<string> | string
  readonly close?: () => Promise<void>
}

export const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
export const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Command-line values to typed options. Every wrong value is a USAGE error that names the option, the value and what is allowed. */
import { resolve } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { AppError } from '../../shared/errors/app-error.ts'

export type OptionTable = NonNullable<ParseArgsConfig['options']>

export interface ParsedArguments {
  readonly positionals: readonly string[]
  text(name: string): string | undefined
  flag(name: string): boolean
  wholeNumber(name: string, minimum: number): number | undefined
  choice<T extends string>(name: string, allowed: readonly T[]): T | undefined
  /** Absolute path, relative to the directory the user called from. */
  path(name: string): string | undefined
}

/** Throws USAGE for unknown options, missing values and a wrong number of positionals. */
export function parseArguments(
  command: string,
  argv: readonly string[],
  options: OptionTable,
  positionalNames: readonly string[],
): ParsedArguments {
  let parsed
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true })
  } catch (error: unknown) {
    throw usage(
      command,
      error instanceof Error ? (error.message.split('\n')[0] ?? '') : 'unreadable arguments',
    )
  }
  const { values, positionals } = parsed
  if (positionals.length !== positionalNames.length) {
    const expected = positionalNames.map((name) => `<${name}>`).join(' ') || 'no positional arguments'
    throw usage(command, `expected ${expected}, got ${String(positionals.length)} positional argument(s)`)
  }
  const text = (name: string): string | undefined => {
    const value = values[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    positionals,
    text,
    flag: (name) => values[name] === true,
    wholeNumber(name, minimum) {
      const value = text(name)
      if (value === undefined) return undefined
      const number = Number(value)
      if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < minimum) {
        throw usage(command, `--${name} is "${value}", expected a whole number from ${String(minimum)} up`)
      }
      return number
    },
    choice(name, allowed) {
      const value = text(name)
      if (value === undefined) return undefined
      const found = allowed.find((candidate) => candidate === value)
      if (found === undefined) throw usage(command, `--${name} is "${value}", allowed: ${allowed.join(', ')}`)
      return found
    },
    path: (name) => {
      const value = text(name)
      return value === undefined ? undefined : userPath(value)
    },
  }
}

/** A path as the user meant it: relative to where the command was typed, even through `npm run`. */
export function userPath(path: string): string {
  return resolve(process.env['INIT_CWD'] ?? process.cwd(), path)
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** `10GB` -> 10_000_000_000 (decimal), `4MiB` -> 4_194_304; NaN when it is not a size. */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim())
  const unit = match === null ? undefined : SIZE_UNITS[(match[2] ?? '').toUpperCase()]
  const sizeBytes = match === null || unit === undefined ? Number.NaN : Math.floor(Number(match[1]) * unit)
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : Number.NaN
}

/** Value of `--memory`; undefined when it was not given. Throws USAGE. */
export function parseMemory(command: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const sizeBytes = parseSize(text)
  if (Number.isNaN(sizeBytes)) throw usage(command, `--memory is "${text}", not a size such as 8GB or 512MiB`)
  return sizeBytes
}

/** Throws SHARD_SIZE_INVALID below 1 MB or when unreadable. */
export function parseShardSize(text: string): number {
  const sizeBytes = parseSize(text)
  if (!(sizeBytes >= 1_000_000)) {
    throw new AppError('SHARD_SIZE_INVALID', {
      subject: '--max-shard-size',
      problem: `"${text}" is not a size of at least 1 MB`,
      remedy: 'write it as 10GB, 500MB or 4MiB',
    })
  }
  return sizeBytes
}

export function usage(command: string, problem: string): AppError {
  return new AppError('USAGE', { subject: command, problem, remedy: `see "quantmill ${command} --help"` })
}

/** Value of an option that the command cannot do without. */
export function required(command: string, name: string, value: string | undefined): string {
  if (value === undefined) throw usage(command, `--${name} is missing`)
  return value
}

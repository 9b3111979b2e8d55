/** What a subcommand is: help text and an action that returns the exit code. */
import type { buildFiles } from '../host/build-files.ts'

export interface CommandContext {
  readonly files: ReturnType<typeof buildFiles>
  /** Standard output: the command's result and nothing else. */
  readonly print: (text: string) => void
  /** Standard error: progress and notes. */
  readonly note: (text: string) => void
  readonly isTerminal: boolean
  /** Set by SIGINT, SIGTERM and SIGHUP. */
  readonly isCancelled: () => boolean
  /** The signal that asked for the end; undefined until one did. */
  readonly signal: () => NodeJS.Signals | undefined
}

export interface Command {
  readonly name: string
  readonly summary: string
  readonly help: string
  run(argv: readonly string[], context: CommandContext): Promise<number>
}

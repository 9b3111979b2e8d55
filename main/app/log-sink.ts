/** The only place that writes the application's log: JSON lines in a file that rotates. Nothing leaves the machine. */
import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogSinkOptions {
  readonly folder: string
  /** Replaced by `~` wherever it appears. */
  readonly homeFolder: string
  /** @default 10 MiB */
  readonly maxFileBytes?: number
  /** Files kept, the current one included. @default 5 */
  readonly maxFiles?: number
  /** @default Date.now */
  readonly now?: () => number
}

export class LogSink {
  readonly #options: Required<LogSinkOptions>
  #sizeBytes: number

  constructor(options: LogSinkOptions) {
    this.#options = { maxFileBytes: 10 * 1024 * 1024, maxFiles: 5, now: Date.now, ...options }
    mkdirSync(options.folder, { recursive: true })
    this.#sizeBytes = sizeOf(this.#path(0))
  }

  /** Never throws: a full disk must not stop the application, and there is nowhere else to say it. */
  write(level: LogLevel, source: string, message: string): void {
    const { homeFolder, now, maxFileBytes } = this.#options
    const text = homeFolder.length > 1 ? message.replaceAll(homeFolder, '~') : message
    const line = `${JSON.stringify({ time: new Date(now()).toISOString(), level, source, message: text })}\n`
    const lineBytes = Buffer.byteLength(line)
    try {
      if (this.#sizeBytes > 0 && this.#sizeBytes + lineBytes > maxFileBytes) this.#rotate()
      appendFileSync(this.#path(0), line, { mode: 0o600 })
      this.#sizeBytes += lineBytes
    } catch {
      return
    }
  }

  #rotate(): void {
    for (let index = this.#options.maxFiles - 1; index > 0; index -= 1) {
      if (sizeOf(this.#path(index - 1)) > 0) renameSync(this.#path(index - 1), this.#path(index))
    }
    this.#sizeBytes = 0
  }

  /** 0 is the current file, 1 the one before it. */
  #path(index: number): string {
    return join(this.#options.folder, index === 0 ? 'quantmill.jsonl' : `quantmill.${String(index)}.jsonl`)
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

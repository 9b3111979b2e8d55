/** Where runs write: for showing an export, and for finding what an earlier run left there, be it of another session. */
import { dirname } from 'node:path'
import type { HostStartRequest } from '../host/host-api.ts'
import type { Library } from '../user-data/library.ts'

export class OutputPaths {
  readonly #library: Library
  readonly #byJob = new Map<string, string>()
  readonly #sourceByJob = new Map<string, string>()

  constructor(library: Library) {
    this.#library = library
  }

  set(jobId: string, { outputPath, checkpointPath, options }: HostStartRequest): void {
    this.#byJob.set(jobId, outputPath)
    this.#sourceByJob.set(jobId, checkpointPath)
    this.#library.rememberRun(outputPath, options.recipe)
  }

  pathOf(jobId: string): string | undefined {
    return this.#byJob.get(jobId)
  }

  /** The checkpoint that the job reads. */
  sourceOf(jobId: string): string | undefined {
    return this.#sourceByJob.get(jobId)
  }

  folders(): readonly string[] {
    return [
      ...new Set([...this.#byJob.values(), ...this.#library.exportPaths()].map((path) => dirname(path))),
    ]
  }
}

/** Where the runs of this session write: for showing an export, and for finding what an earlier run left there. */
import { dirname } from 'node:path'

export class OutputPaths {
  readonly #byJob = new Map<string, string>()

  set(jobId: string, { outputPath }: { readonly outputPath: string }): void {
    this.#byJob.set(jobId, outputPath)
  }

  pathOf(jobId: string): string | undefined {
    return this.#byJob.get(jobId)
  }

  folders(): readonly string[] {
    return [...new Set([...this.#byJob.values()].map((path) => dirname(path)))]
  }
}

/** Where a built program finds its own files. Entries pass their own URL, because shared chunks live in another folder. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { version } from '../../package.json'
import type { JobEnvironment } from './jobs/job-observer.ts'

/** `entryUrl` is the import.meta.url of a file directly in out/main. */
export function buildFiles(
  entryUrl: string,
): JobEnvironment & { readonly rendererFolder: string; readonly sampleFolder: string } {
  const file = (path: string): string => fileURLToPath(new URL(path, entryUrl))
  return {
    version,
    exportWorkerFile: file('./export.worker.js'),
    deviceWorkerFile: file('./device.worker.js'),
    verifyWorkerFile: file('./verify.worker.js'),
    kernelsFile: file('./kernels.wasm'),
    rendererFolder: file('../renderer'),
    sampleFolder: beside(file('../../assets/sample/tiny-qwen3.5-moe')),
    cpuCount: availableParallelism(),
  }
}

/**
 * In a package the sample lies beside the archive. Electron would find it under the archive's name as well, but gives made-up inode numbers
 * there, and a run would take its files for replaced ones.
 */
function beside(path: string): string {
  return path.replace(/([/\\]app\.asar)([/\\])/, '$1.unpacked$2')
}

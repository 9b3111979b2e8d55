/**
 * Collects what a finished phase has left behind. Planning and sealing make short-lived text in proportion to the number of tensors; without
 * this the heap keeps the room for it until the end of the run, and the peak grows with the model.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collect: (() => void) | undefined

export function releaseGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
    setFlagsFromString('--no-expose-gc')
  }
  collect()
}

/** Results of runs lie outside the heap, and the collector waits for hundreds of megabytes of them before it looks. */
const RESULT_BYTES_BETWEEN_COLLECTIONS = 64 * 1024 * 1024

/** Counts results of runs, and collects when many have come since the last time. */
export function collectResults(): (sizeBytes: number) => void {
  let sinceBytes = 0
  return (sizeBytes) => {
    sinceBytes += sizeBytes
    if (sinceBytes < RESULT_BYTES_BETWEEN_COLLECTIONS) return
    sinceBytes = 0
    releaseGarbage()
  }
}

/**
 * Tells V8 to prefer a small heap to few collections, for processes that do nothing but runs (the command line). Heuristics only, read by
 * the engine at each collection; left alone inside Electron, whose V8 is another one.
 */
export function preferSmallHeap(): void {
  if ('electron' in process.versions) return
  setFlagsFromString('--optimize-for-size')
  setFlagsFromString('--semi-space-growth-factor=1')
}

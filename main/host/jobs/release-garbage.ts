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

/**
 * Tells V8 to prefer a small heap to few collections, for processes that do nothing but runs (the command line). Heuristics only, read by
 * the engine at each collection; left alone inside Electron, whose V8 is another one.
 */
export function preferSmallHeap(): void {
  if ('electron' in process.versions) return
  setFlagsFromString('--optimize-for-size')
  setFlagsFromString('--semi-space-growth-factor=1')
}

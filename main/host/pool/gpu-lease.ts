/**
 * One GPU user at a time in this process: two threads that run graphs on a GPU at once bring the process down. Whoever wants the GPU waits
 * for the lease and gives it back when its thread has ended. State of the process, like the GPU itself.
 */

let last: Promise<void> = Promise.resolve()
let holders = 0

/** Somebody holds the GPU or waits for it. */
export function isGpuLeased(): boolean {
  return holders > 0
}

/** Resolves when nobody else holds the lease; call the result exactly once to give it back. */
export async function leaseGpu(): Promise<() => void> {
  const before = last
  let release: () => void = () => undefined
  holders += 1
  last = new Promise((resolve) => {
    release = () => {
      holders -= 1
      resolve()
    }
  })
  await before
  return release
}

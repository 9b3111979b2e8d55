/** Scripts of worker threads in which one file call goes wrong, or that die; made for one test each, around the built worker. */
import { existsSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { TEST_ENVIRONMENT } from '../run-for-test.ts'

export interface WorkerFault {
  readonly call: 'writeSync' | 'readSync'
  /** Number of the call, from 0, counted in every thread by itself. */
  readonly at: number
  /** `exit` ends the thread, `once` only in the first thread that gets there. */
  readonly kind: 'ENOSPC' | 'EIO' | 'EACCES' | 'short' | 'exit' | 'exit once'
}

export interface FaultyWorker {
  readonly file: string
  /** Calls of this name in all threads so far. */
  readonly calls: () => number
  /** Whether a thread has come to the call that goes wrong. */
  readonly hasHappened: () => boolean
}

/** `folder` is for the script and what it counts. */
export async function makeFaultyWorker(
  folder: string,
  worker: 'export' | 'device',
  { call, at, kind }: WorkerFault,
): Promise<FaultyWorker> {
  const built = worker === 'export' ? TEST_ENVIRONMENT.exportWorkerFile : TEST_ENVIRONMENT.deviceWorkerFile
  const [file, counted, marker] = ['mjs', 'count', 'died'].map((end) =>
    join(folder, `faulty-${worker}.${end}`),
  )
  if (file === undefined || counted === undefined || marker === undefined) throw new Error('three names')
  const script = `
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
const real = fs.${call}
const counter = fs.openSync(${JSON.stringify(counted)}, 'a')
let calls = 0
fs.${call} = (descriptor, bytes, from, length, position) => {
  fs.writevSync(counter, [new Uint8Array(1)])
  if (calls++ !== ${String(at)}) return real(descriptor, bytes, from, length, position)
  const kind = ${JSON.stringify(kind)}
  const isFirst = !fs.existsSync(${JSON.stringify(marker)})
  fs.closeSync(fs.openSync(${JSON.stringify(marker)}, 'w'))
  if (kind === 'exit' || (kind === 'exit once' && isFirst)) process.exit(9)
  if (kind === 'exit once') return real(descriptor, bytes, from, length, position)
  if (kind === 'short') return real(descriptor, bytes, from, Math.max(1, Math.floor(length / 2)), position)
  throw Object.assign(new Error(kind + ': injected, ${call}'), { code: kind, syscall: '${call}' })
}
syncBuiltinESMExports()
await import(${JSON.stringify(pathToFileURL(built).href)})
`
  await writeFile(file, script)
  return {
    file,
    calls: () => (existsSync(counted) ? statSync(counted).size : 0),
    hasHappened: () => existsSync(marker),
  }
}

// Loaded into every thread of `quantmill serve` (node --import <this>?flag=<file>): while that file is there, writes of weights
// fail as on a full disk, after the first of them. Small files, journal and log included, still fit, as they usually do.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import threads from 'node:worker_threads'

const flag = new URL(import.meta.url).searchParams.get('flag')
const BLOCK_BYTES = 4096
const FREE_BLOCKS = 24

if (flag !== null) {
  const { writeSync } = fs
  let blocks = 0
  fs.writeSync = (descriptor, bytes, ...rest) => {
    if (typeof bytes === 'string' || bytes.byteLength < BLOCK_BYTES)
      return writeSync(descriptor, bytes, ...rest)
    blocks += 1
    if (blocks <= FREE_BLOCKS || !fs.existsSync(flag)) return writeSync(descriptor, bytes, ...rest)
    const error = new Error('ENOSPC: no space left on device, write')
    throw Object.assign(error, { code: 'ENOSPC', syscall: 'write' })
  }
  // Threads of the product take neither options nor environment of the process.
  threads.Worker = class extends threads.Worker {
    constructor(file, options) {
      super(file, { ...options, execArgv: [...(options?.execArgv ?? []), `--import=${import.meta.url}`] })
    }
  }
  syncBuiltinESMExports()
}

// One set-up at a time: two commands started together in a fresh clone must not install or build over each other.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './processes.mjs'

const folder = join(root, '.cache')
const file = join(folder, 'setup.lock')

/** Runs `action` while no other process of this clone does. A lock whose owner is gone is taken over. */
export async function withLock(action, note) {
  mkdirSync(folder, { recursive: true })
  let isWaiting = false
  while (!acquire()) {
    if (isAbandoned()) rmSync(file, { force: true })
    else {
      if (!isWaiting) note('waiting for another set-up of this clone to end ...\n')
      isWaiting = true
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
  try {
    return await action()
  } finally {
    rmSync(file, { force: true })
  }
}

function acquire() {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

function isAbandoned() {
  try {
    const owner = Number(readFileSync(file, 'utf8'))
    // Written a moment ago but not filled yet, or left so by a crash.
    if (owner === 0) return Date.now() - statSync(file).mtimeMs > 10_000
    process.kill(owner, 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

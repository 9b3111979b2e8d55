// A temporary folder for one run of the tests, which everything started with `env` uses instead of the system's.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** `remove` takes the folder away and returns a message about what was left in it, '' for nothing. */
export function makeRunFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'quantmill-'))
  const remove = () => {
    const left = readdirSync(folder, { recursive: true })
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    if (left.length === 0) return ''
    const shown = left.slice(0, 20).map((path) => `  ${path}\n`)
    return `${left.length} files and folders were left in the temporary folder:\n${shown.join('')}`
  }
  return { env: { TMPDIR: folder, TEMP: folder, TMP: folder }, remove }
}

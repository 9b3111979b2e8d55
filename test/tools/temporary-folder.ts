import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What libraries leave in the temporary folder, whatever we do: ONNX Runtime (a log and a session file),
 * Chromium, Node, Playwright until its process ends, and the packager. */
const FOREIGN =
  /^(mat-debug-\d+\.log|\.ses|playwright-artifacts-.*|jiti|\.?org\.chromium\..*|\.com\.google\.Chrome\..*|scoped_dir.*|node-compile-cache)$/
const made: string[] = []

/** Path without links of a new empty folder in the temporary folder of this test file. It is removed after the last test of the file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'test-'))
  made.push(folder)
  return folder
}

/**
 * Gives this test file, and every thread and process that it starts, a temporary folder of its own. `remove` takes it away and returns the
 * names of what was left in it by anything but `temporaryFolder`.
 */
export function ownTemporaryFolder(): { remove: () => readonly string[] } {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'quantmill-')))
  for (const name of ['TMPDIR', 'TEMP', 'TMP']) process.env[name] = folder
  const remove = (): readonly string[] => {
    for (const path of made) rmSync(path, { recursive: true, force: true, maxRetries: 5 })
    const left = readdirSync(folder).filter((name) => !FOREIGN.test(name))
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    return left
  }
  return { remove }
}

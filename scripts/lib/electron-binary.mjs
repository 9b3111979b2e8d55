// The official Electron binary: where it is, and fetching it when the release server can be reached.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './processes.mjs'

const electronPackage = join(root, 'node_modules', 'electron')
const PROBE_LIMIT_MS = 5_000
const DOWNLOAD_LIMIT_MS = 600_000
const DEFAULT_MIRROR = 'https://github.com/electron/electron/releases/download/'

/** Path of the executable if it is on disk: ELECTRON_OVERRIDE_DIST_PATH first, then the pinned version. */
export function findElectron() {
  const name = process.platform === 'win32' ? 'electron.exe' : 'electron'
  const override = process.env.ELECTRON_OVERRIDE_DIST_PATH
  if (override !== undefined && override !== '') {
    const path = join(override, process.platform === 'darwin' ? 'Electron.app/Contents/MacOS/Electron' : name)
    return existsSync(path) ? path : undefined
  }
  try {
    const path = join(electronPackage, 'dist', readFileSync(join(electronPackage, 'path.txt'), 'utf8'))
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

/**
 * Electron's own download, with its own checksums. A server that does not answer within five seconds counts as out of reach; a slow
 * download is waited for. Resolves { path } or { reason }.
 */
export async function ensureElectron({ note }) {
  const found = findElectron()
  if (found !== undefined) return { path: found }
  if (process.env.ELECTRON_OVERRIDE_DIST_PATH) {
    return {
      reason: `there is no Electron in ${process.env.ELECTRON_OVERRIDE_DIST_PATH} (ELECTRON_OVERRIDE_DIST_PATH)`,
    }
  }
  const { version } = JSON.parse(readFileSync(join(electronPackage, 'package.json'), 'utf8'))
  if (!(await isReachable()))
    return { reason: `Electron ${version} is not installed and its download server cannot be reached` }
  note(`downloading Electron ${version} (about 110 MB) ...\n`)
  const { code, output } = await run(process.execPath, [join(electronPackage, 'install.js')], {
    timeoutMs: DOWNLOAD_LIMIT_MS,
  })
  const path = findElectron()
  if (code === 0 && path !== undefined) return { path }
  return { reason: `Electron ${version} could not be downloaded (${output.trim().split('\n')[0] ?? ''})` }
}

async function isReachable() {
  // Behind a proxy only Electron's downloader knows the way.
  if (process.env.ELECTRON_GET_USE_PROXY) return true
  const mirror = process.env.ELECTRON_MIRROR ?? process.env.npm_config_electron_mirror ?? DEFAULT_MIRROR
  try {
    await fetch(mirror, { method: 'HEAD', signal: AbortSignal.timeout(PROBE_LIMIT_MS) })
    return true
  } catch {
    return false
  }
}

/**
 * Which file of the renderer folder a URL path means. Shared by the app:// scheme and the browser server. Checklist 18: nothing outside the
 * folder is reachable, whatever the path contains, and only known kinds of files are served.
 */
import { readFile, realpath, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { isInside } from './is-inside.ts'

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
}

export interface RendererFile {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly contentType: string
}

/** The file behind an encoded URL path; undefined when there is none, it is no plain file, or it lies outside the folder. Never throws for a path. */
export async function readRendererFile(
  rendererFolder: string,
  encodedPath: string,
): Promise<RendererFile | undefined> {
  const segments = pathSegments(encodedPath)
  if (segments === undefined) return undefined
  const path = join(rendererFolder, ...(segments.length === 0 ? ['index.html'] : segments))
  const contentType = CONTENT_TYPES[extname(path).toLowerCase()]
  if (contentType === undefined) return undefined
  try {
    const realFolder = await realpath(rendererFolder)
    const realFile = await realpath(path)
    if (!isInside(realFile, realFolder) || !(await stat(realFile)).isFile()) return undefined
    return { bytes: new Uint8Array(await readFile(realFile)), contentType }
  } catch {
    return undefined
  }
}

/** Decoded segments of a URL path; undefined for anything that could mean another folder on some system. Decodes once only. */
export function pathSegments(encodedPath: string): readonly string[] | undefined {
  let path: string
  try {
    path = decodeURIComponent(encodedPath)
  } catch {
    return undefined
  }
  // Backslash and colon separate on Windows; NUL ends a path in C.
  if (/[\\:\0]/.test(path)) return undefined
  const segments = path.split('/').filter((segment) => segment !== '')
  return segments.some((segment) => segment === '.' || segment === '..') ? undefined : segments
}

/** Reads a JSON request body within a bound. */
import type { IncomingMessage } from 'node:http'

/** A recipe of 1 000 000 characters takes up to 3 bytes each in UTF-8; the rest of a request is small. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024

export type Body =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'refused'; readonly status: 400 | 413 | 415 }

/** Never throws; stops reading at the bound, whatever the declared length says (CWE-770). */
export async function readJsonBody(request: IncomingMessage): Promise<Body> {
  const contentType = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (contentType !== 'application/json') return { kind: 'refused', status: 415 }
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) return { kind: 'refused', status: 413 }
  const bytes = await readBounded(request)
  if (bytes === undefined) return { kind: 'refused', status: 413 }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return { kind: 'json', value: JSON.parse(text) as unknown }
  } catch {
    return { kind: 'refused', status: 400 }
  }
}

/** undefined when the bound is passed; the rest stays unread and the connection usable for the answer. */
function readBounded(request: IncomingMessage): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let sizeBytes = 0
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length
      chunks.push(chunk)
      if (sizeBytes <= MAX_BODY_BYTES) return
      request.pause()
      chunks.length = 0
      resolve(undefined)
    })
    request.on('end', () => {
      resolve(Buffer.concat(chunks))
    })
    // The client went away: nobody reads the answer, but the promise must settle.
    request.on('error', () => {
      resolve(new Uint8Array(0))
    })
  })
}

/** The app:// scheme: serves the built renderer and nothing else. Checklist 7 and 18. */
import type { CustomScheme, Session } from 'electron'
import { APP_SCHEME, isAppUrl } from './origin.ts'
import { readRendererFile } from './renderer-files.ts'
import { SECURITY_HEADERS } from './response-headers.ts'

/** To be registered before the app is ready. `bypassCSP` and `allowServiceWorkers` stay off. */
export const APP_SCHEME_PRIVILEGES: CustomScheme = {
  scheme: APP_SCHEME,
  privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true },
}

/** Answers one request: 200 with the file, 405 for another method, 404 for everything else. All answers carry the security headers. */
export async function answerAppRequest(
  rendererFolder: string,
  request: { readonly url: string; readonly method: string },
): Promise<Response> {
  if (request.method !== 'GET') return refusal(405)
  if (!isAppUrl(request.url)) return refusal(404)
  const file = await readRendererFile(rendererFolder, new URL(request.url).pathname)
  if (file === undefined) return refusal(404)
  return new Response(file.bytes, { headers: { ...SECURITY_HEADERS, 'Content-Type': file.contentType } })
}

export function serveRenderer(session: Pick<Session, 'protocol'>, rendererFolder: string): void {
  session.protocol.handle(APP_SCHEME, (request) => answerAppRequest(rendererFolder, request))
}

function refusal(status: number): Response {
  return new Response('', { status, headers: { ...SECURITY_HEADERS, 'Content-Type': 'text/plain' } })
}

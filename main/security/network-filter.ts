/** The window has no network. Checklist 1: every request that is not for app://ui is cancelled before it leaves. */
import type { Session } from 'electron'
import { isAppUrl } from './origin.ts'

/** Developer tools load their own pages; they exist in development only. */
export function isRequestAllowed(url: string, isDevelopment: boolean): boolean {
  return isAppUrl(url) || (isDevelopment && URL.canParse(url) && new URL(url).protocol === 'devtools:')
}

export function blockNetwork(
  session: Pick<Session, 'webRequest'>,
  isDevelopment: boolean,
  onBlocked: (url: string) => void,
): void {
  session.webRequest.onBeforeRequest((details, callback) => {
    const isAllowed = isRequestAllowed(details.url, isDevelopment)
    if (!isAllowed) onBlocked(details.url)
    callback({ cancel: !isAllowed })
  })
}

/** Keeps every web contents on our own page. Checklist 11 to 14: no foreign navigation, no new windows, no webviews. */
import type { WebContents } from 'electron'
import { isAppUrl } from './origin.ts'

type GuardedContents = Pick<WebContents, 'on' | 'setWindowOpenHandler'>

/** To be called for each `web-contents-created`. `onBlocked` hears what was refused. */
export function guardContents(
  contents: GuardedContents,
  onBlocked: (what: string, url: string) => void,
): void {
  const keepOwn = (what: string, details: { readonly url: string; preventDefault(): void }): void => {
    if (isAppUrl(details.url)) return
    details.preventDefault()
    onBlocked(what, details.url)
  }
  contents.on('will-navigate', (details) => {
    keepOwn('will-navigate', details)
  })
  contents.on('will-redirect', (details) => {
    keepOwn('will-redirect', details)
  })
  contents.on('will-frame-navigate', (details) => {
    keepOwn('will-frame-navigate', details)
  })
  contents.on('will-attach-webview', (event) => {
    event.preventDefault()
    onBlocked('will-attach-webview', '')
  })
  contents.setWindowOpenHandler(({ url }) => {
    onBlocked('window-open', url)
    return { action: 'deny' }
  })
}

/** The one origin the window ever shows, and the test that a URL belongs to it. Checklist 13, 17, 18: parsed parts are compared, never prefixes. */

export const APP_SCHEME = 'app'
export const APP_HOST = 'ui'
export const APP_ORIGIN = `${APP_SCHEME}://${APP_HOST}`
export const START_URL = `${APP_ORIGIN}/index.html`

/** True for `app://ui/...` only; an unreadable URL, a port, a user name or another case of the host is not ours. */
export function isAppUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  return (
    url.protocol === `${APP_SCHEME}:` &&
    url.hostname === APP_HOST &&
    url.port === '' &&
    url.username === '' &&
    url.password === ''
  )
}

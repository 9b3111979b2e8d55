import { expect, test } from 'vitest'
import { guardContents } from '../../main/security/navigation-guard.ts'
import { blockNetwork, isRequestAllowed } from '../../main/security/network-filter.ts'
import { isAppUrl } from '../../main/security/origin.ts'

const FOREIGN = [
  'https://example.org/',
  'http://ui/',
  'file:///etc/passwd',
  'app://ui.example.org/',
  'app://ui@example.org/',
  'app://user@ui/index.html',
  'app://ui:8080/index.html',
  'app://other/index.html',
  'app:ui/index.html',
  'application://ui/',
  'data:text/html,<p>',
  'blob:app://ui/0',
  'javascript:alert(1)',
  'about:blank',
  'devtools://devtools/bundled/x.html',
  'ws://127.0.0.1/',
  '',
  'not a url',
]

// Rows 1 and 13. Catches comparison by prefix, and a scheme that slipped through.
test.each(FOREIGN)('%s is not our page', (url) => {
  expect(isAppUrl(url)).toBe(false)
  expect(isRequestAllowed(url, false)).toBe(false)
})

test('our own pages are ours, query and hash included', () => {
  expect(isAppUrl('app://ui/index.html?x=1#run')).toBe(true)
  expect(isRequestAllowed('app://ui/assets/index.js', false)).toBe(true)
})

test('developer tools load in development only', () => {
  expect(isRequestAllowed('devtools://devtools/bundled/x.html', true)).toBe(true)
  expect(isRequestAllowed('https://example.org/', true)).toBe(false)
})

test('the network filter cancels and reports', () => {
  let listener: (details: { url: string }, callback: (answer: { cancel?: boolean }) => void) => void = () =>
    undefined
  const webRequest = { onBeforeRequest: (given: typeof listener) => (listener = given) }
  const blocked: string[] = []
  blockNetwork({ webRequest } as unknown as Parameters<typeof blockNetwork>[0], false, (url) =>
    blocked.push(url),
  )
  const answers: unknown[] = []
  listener({ url: 'wss://example.org/' }, (answer) => answers.push(answer))
  listener({ url: 'app://ui/index.html' }, (answer) => answers.push(answer))
  expect(answers).toEqual([{ cancel: true }, { cancel: false }])
  expect(blocked).toEqual(['wss://example.org/'])
})

interface Guarded {
  readonly listeners: Map<string, (event: { url: string; preventDefault(): void }) => void>
  readonly blocked: string[]
  open(url: string): unknown
}

function guard(): Guarded {
  const listeners: Guarded['listeners'] = new Map()
  const blocked: string[] = []
  let openHandler: (details: { url: string }) => unknown = () => undefined
  const contents = {
    on: (name: string, listener: (event: { url: string; preventDefault(): void }) => void) =>
      listeners.set(name, listener),
    setWindowOpenHandler: (handler: typeof openHandler) => (openHandler = handler),
  }
  guardContents(contents as unknown as Parameters<typeof guardContents>[0], (what) => blocked.push(what))
  return { listeners, blocked, open: (url) => openHandler({ url }) }
}

// Rows 11 to 14. Catches a listener that was not attached.
test.each(['will-navigate', 'will-redirect', 'will-frame-navigate'])(
  '%s to another place is prevented',
  (name) => {
    const { listeners, blocked } = guard()
    const prevented: string[] = []
    const visit = (url: string): void =>
      listeners.get(name)?.({ url, preventDefault: () => prevented.push(url) })
    visit('https://example.org/')
    visit('app://ui/index.html')
    expect(prevented).toEqual(['https://example.org/'])
    expect(blocked).toEqual([name])
  },
)

test('a webview is never attached, not even with our own page', () => {
  const { listeners } = guard()
  let isPrevented = false
  listeners.get('will-attach-webview')?.({
    url: 'app://ui/index.html',
    preventDefault: () => (isPrevented = true),
  })
  expect(isPrevented).toBe(true)
})

test('a new window is never opened, not even with our own page', () => {
  expect(guard().open('app://ui/index.html')).toEqual({ action: 'deny' })
})

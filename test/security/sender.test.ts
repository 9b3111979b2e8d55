import { expect, test } from 'vitest'
import { isTrustedSender } from '../../main/security/sender-check.ts'

const frame = { url: 'app://ui/index.html', origin: 'app://ui' }
const windows = new Set([7])
const genuine = { sender: { id: 7, mainFrame: frame }, senderFrame: frame }

test('the main frame of our window is trusted', () => {
  expect(isTrustedSender(genuine, windows)).toBe(true)
})

const withFrame = (changes: Partial<typeof frame>): typeof genuine => {
  const other = { ...frame, ...changes }
  return { sender: { id: 7, mainFrame: other }, senderFrame: other }
}

// Row 17. Each forgery differs from the genuine message in one property.
test.each([
  ['a frame that has navigated away', { ...genuine, senderFrame: null }],
  ['a frame inside the page', { ...genuine, senderFrame: { ...frame } }],
  ['a window that is not registered', { ...genuine, sender: { id: 8, mainFrame: frame } }],
  ['another origin', withFrame({ url: 'https://example.org/', origin: 'https://example.org' })],
  ['another host of our scheme', withFrame({ url: 'app://ui.example.org/', origin: 'app://ui.example.org' })],
  ['an opaque origin on our address', withFrame({ origin: 'null' })],
  ['our origin on another address', withFrame({ url: 'about:blank' })],
  ['an empty address', withFrame({ url: '' })],
])('%s is refused', (_what, event) => {
  expect(isTrustedSender(event, windows)).toBe(false)
})

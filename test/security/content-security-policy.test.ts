import { expect, test } from 'vitest'
import { CONTENT_SECURITY_POLICY, SECURITY_HEADERS } from '../../main/security/response-headers.ts'

// Row 7. Catches a directive that was dropped (its default would be 'none', so something breaks) or loosened.
test('the policy names every directive and nothing unsafe', () => {
  expect(CONTENT_SECURITY_POLICY).toBe(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
      "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  )
  expect(CONTENT_SECURITY_POLICY).not.toMatch(/unsafe|\*|https?:|blob:/)
})

test('every answer forbids guessing types, leaking addresses and keeping copies', () => {
  expect(SECURITY_HEADERS).toMatchObject({
    'Content-Security-Policy': CONTENT_SECURITY_POLICY,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-store',
  })
})

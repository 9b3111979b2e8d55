/**
 * `npm start` on a machine without a display and without Electron: it must say what is missing, serve on loopback only, and answer nobody who
 * does not have the token.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serve, type Served } from './support/server.ts'

describe('npm start without display and without Electron', () => {
  let served: Served

  beforeAll(async () => {
    served = await serve(['scripts/start.mjs'], { ELECTRON_OVERRIDE_DIST_PATH: '/nonexistent' })
  })
  afterAll(() => served.stop())

  test('says why there is no window', () => {
    expect(served.output()).toMatch(/No window: there is no display/)
  })

  test('without the token the answer is 401 and nothing is done', async () => {
    const { origin } = new URL(served.url)
    const replies = await Promise.all([
      fetch(`${origin}/`),
      fetch(`${origin}/?token=${'A'.repeat(43)}`),
      fetch(`${origin}/api/events`),
      fetch(`${origin}/api/request`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Origin: origin },
        body: JSON.stringify({ route: 'grant.use_sample', input: {} }),
      }),
    ])
    expect(replies.map(({ status }) => status)).toEqual([401, 401, 401, 401])
    expect(replies.map(({ headers }) => headers.get('set-cookie'))).toEqual([null, null, null, null])
    expect(await replies[3].text()).not.toContain('g_')
  })

  test('the token of the printed address opens the page, once', async () => {
    const first = await fetch(served.url, { redirect: 'manual' })
    expect([200, 302, 303]).toContain(first.status)
    const cookie = first.headers.get('set-cookie') ?? ''
    expect(cookie).toMatch(/HttpOnly/i)
    expect(cookie).toMatch(/SameSite=Strict/i)
    expect((await fetch(served.url, { redirect: 'manual' })).status).toBe(401)
    const withCookie = await fetch(new URL('/', served.url), { headers: { Cookie: cookie.split(';')[0] } })
    expect(withCookie.status).toBe(200)
    expect(await withCookie.text()).toContain('<div id="app"')
  })

  test('ends cleanly on Ctrl+C', async () => {
    expect(await served.stop()).toBe(0)
  })
})

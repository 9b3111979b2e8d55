/**
 * The window as an attacker inside it would find it. Each test is a row of the security checklist that only a real Electron can answer: a preference
 * that is set but not effective, a handler that is registered on the wrong session or a policy that the protocol handler forgot fails here.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { announceSkip, noWindowReason } from './support/environment.ts'
import { openWindow, type Window } from './support/window.ts'

announceSkip('window security', noWindowReason)

describe.skipIf(noWindowReason !== undefined)('the window against its own page', () => {
  let window: Window
  let outside: Server
  let outsideUrl = ''
  const received: string[] = []

  beforeAll(async () => {
    outside = createServer((request, response) => {
      received.push(request.url ?? '')
      response.setHeader('Access-Control-Allow-Origin', '*')
      response.end('ok')
    })
    await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve))
    outsideUrl = `http://127.0.0.1:${(outside.address() as AddressInfo).port}`
    // The control: a request that is allowed does arrive, so that silence below means refusal.
    await fetch(`${outsideUrl}/control`)
    expect(received.splice(0)).toEqual(['/control'])
    window = await openWindow()
    await window.page.addInitScript(() => {
      const counted = globalThis as { violations?: string[] }
      counted.violations = []
      document.addEventListener('securitypolicyviolation', (event) => {
        counted.violations?.push(`${event.effectiveDirective} ${event.blockedURI}`)
      })
    })
    await window.page.reload()
    await window.page.getByTestId('open-sample').waitFor()
  })

  afterAll(async () => {
    await window.app.close()
    outside.close()
  })

  const violations = (): Promise<string[]> =>
    window.page.evaluate(() => (globalThis as { violations?: string[] }).violations ?? ['not counted'])

  test('its own page breaks no rule of the content policy', async () => {
    expect(await violations()).toEqual([])
  })

  test('nothing of Node or Electron is in reach', async () => {
    const found = await window.page.evaluate(() =>
      ['require', 'process', 'module', 'Buffer', 'global', 'ipcRenderer', 'electron'].filter(
        (name) => name in globalThis,
      ),
    )
    expect(found).toEqual([])
    expect(await window.page.evaluate(() => Object.keys((globalThis as never)['quantmill']).sort())).toEqual([
      'on',
      'request',
    ])
  })

  test('the preferences in effect are the safe ones', async () => {
    const preferences = await window.app.evaluate(({ BrowserWindow }) => {
      const contents = BrowserWindow.getAllWindows()[0]?.webContents as unknown as {
        getLastWebPreferences(): Record<string, unknown>
      }
      return contents.getLastWebPreferences()
    })
    expect(preferences).toMatchObject({
      contextIsolation: true,
      nodeIntegration: false,
      sandbox: true,
      webSecurity: true,
      webviewTag: false,
    })
  })

  test('no request leaves the window', async () => {
    const outcomes = await window.page.evaluate(async (url) => {
      const attempt = (action: () => Promise<unknown>): Promise<string> =>
        action().then(
          () => 'went out',
          () => 'refused',
        )
      const image = (): Promise<unknown> =>
        new Promise((resolve, reject) => {
          const element = new Image()
          element.onload = resolve
          element.onerror = reject
          element.src = `${url}/image.png`
        })
      const socket = (): Promise<unknown> =>
        new Promise((resolve, reject) => {
          const web = new WebSocket(url.replace('http', 'ws'))
          web.onopen = resolve
          web.onerror = reject
        })
      return [
        await attempt(() => fetch(`${url}/fetch`)),
        await attempt(() => fetch('https://example.com/')),
        await attempt(() => fetch('file:///etc/passwd')),
        await attempt(image),
        await attempt(socket),
        navigator.sendBeacon(`${url}/beacon`) ? 'queued' : 'refused',
      ]
    }, outsideUrl)
    expect(outcomes.slice(0, 5)).toEqual(['refused', 'refused', 'refused', 'refused', 'refused'])
    expect(received).toEqual([])
  })

  test('the session refuses the network even without a page', async () => {
    const outcome = await window.app.evaluate(
      ({ session }, url) =>
        session.defaultSession.fetch(`${url}/session`).then(
          () => 'went out',
          () => 'refused',
        ),
      outsideUrl,
    )
    expect(outcome).toBe('refused')
    expect(received).toEqual([])
  })

  test('a planted inline script does not run and is seen as a violation', async () => {
    const before = (await violations()).length
    const ran = await window.page.evaluate(async () => {
      const script = document.createElement('script')
      script.textContent = 'globalThis.planted = true'
      document.body.append(script)
      await new Promise((resolve) => setTimeout(resolve, 100))
      return 'planted' in globalThis
    })
    expect(ran).toBe(false)
    expect((await violations()).length).toBeGreaterThan(before)
  })

  test('no second window and no other page', async () => {
    const opened = await window.page.evaluate((url) => globalThis.open(url) === null, outsideUrl)
    expect(opened).toBe(true)
    await window.page.evaluate((url) => {
      globalThis.location.href = url
    }, outsideUrl)
    await window.page.evaluate((url) => {
      const form = document.createElement('form')
      form.action = url
      document.body.append(form)
      form.submit()
    }, outsideUrl)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(window.page.url()).toMatch(/^app:\/\/ui\//)
    expect(window.app.windows()).toHaveLength(1)
    expect(received).toEqual([])
  })

  test('no permission is given', async () => {
    const answers = await window.page.evaluate(async () => {
      const names = ['geolocation', 'notifications', 'camera', 'microphone', 'clipboard-read', 'midi']
      const states = await Promise.all(
        names.map((name) =>
          navigator.permissions.query({ name: name as PermissionName }).then(
            ({ state }) => state,
            () => 'denied' as const,
          ),
        ),
      )
      const camera = await navigator.mediaDevices?.getUserMedia({ video: true }).then(
        () => 'granted',
        () => 'denied',
      )
      return [...states, await Notification.requestPermission(), camera ?? 'denied']
    })
    expect(new Set(answers)).toEqual(new Set(['denied']))
  })

  test('an unknown route and a malformed request are answered with codes', async () => {
    const codes = await window.page.evaluate(async () => {
      const { request } = (
        globalThis as unknown as { quantmill: { request: (...all: unknown[]) => unknown } }
      ).quantmill
      const replies = await Promise.all([
        request('host.exec', { command: 'id' }),
        request('checkpoint.open', { grantId: '/etc' }),
        request('checkpoint.open', { grantId: 'g_AAAAAAAAAAAAAAAA' }),
      ])
      return replies.map((reply) => (reply as { error?: { code: string } }).error?.code)
    })
    expect(codes).toEqual(['REQUEST_INVALID', 'REQUEST_INVALID', 'GRANT_UNKNOWN'])
  })
})

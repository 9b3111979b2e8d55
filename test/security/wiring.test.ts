/** What the other files of this folder test by itself is worth nothing until it is registered: here main's modules are enabled on a fake Electron. */
import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import type { AppContext } from '../../main/app/app-module.ts'
import { EventHub } from '../../main/ipc/event-hub.ts'
import { PathGrants } from '../../main/security/path-grants.ts'
import { createFakeHost, type FakeHost } from '../fakes/fake-host.ts'
import { makeFakeElectron, type FakeElectron } from '../fakes/fake-electron.ts'
import { temporaryFolder } from '../tools/temporary-folder.ts'

let electron: FakeElectron
let home = ''
let host: FakeHost
let context: AppContext
let dropped: string[] = []
let focused = 0

beforeEach(async () => {
  electron = makeFakeElectron()
  vi.resetModules()
  vi.doMock('electron', () => electron.module)
  home = await realpath(await temporaryFolder())
  await mkdir(join(home, 'model'))
  host = createFakeHost()
  const events = new EventHub()
  dropped = []
  focused = 0
  events.subscribe((event) => {
    dropped.push(event)
  })
  context = {
    files: { cpuCount: 1, sampleFolder: join(home, 'sample'), rendererFolder: home, version: '0' },
    log: { write: () => undefined },
    events,
    grants: new PathGrants({ homeFolder: home }),
    hostClient: { api: host.api, runningJobCount: 0, shutdown: () => Promise.resolve() },
    windows: {
      contentsIds: new Set([7]),
      main: undefined,
      open: () => Promise.resolve(void (focused += 1)),
      send: () => undefined,
    },
    userData: { read: () => ({}), update: () => ({}) },
    exportsFolder: join(home, 'exports'),
  } as unknown as AppContext
})

const handler = (name: string): ((...parts: unknown[]) => unknown) =>
  electron.handlers.get(name) as unknown as (...parts: unknown[]) => unknown

const frame = { url: 'app://ui/index.html', origin: 'app://ui' }
const GENUINE = { sender: { id: 7, mainFrame: frame }, senderFrame: frame }
const FORGED = { ...GENUINE, senderFrame: { ...frame } }

// Row 17. The check is made for both channels, before anything else.
test('a request from a foreign frame reaches no handler', async () => {
  const { requestsModule } = await import('../../main/app/requests.ts')
  await requestsModule.enable(context)
  const request = handler('ipcMain.handle quantmill:request')
  expect(await request(FORGED, 'job.list', {})).toMatchObject({
    ok: false,
    error: { code: 'FORBIDDEN_SENDER' },
  })
  expect(host.calls).toEqual([])
  expect(await request(GENUINE, 'job.list', {})).toMatchObject({ ok: true })
  expect(host.calls).toHaveLength(1)
})

test('a drop from a foreign frame grants nothing', async () => {
  const { requestsModule } = await import('../../main/app/requests.ts')
  await requestsModule.enable(context)
  handler('ipcMain.on quantmill:drop')(FORGED, [join(home, 'model')])
  handler('ipcMain.on quantmill:drop')(GENUINE, [home])
  await vi.waitFor(() => {
    expect(dropped).toEqual(['grant.dropped'])
  })
  expect(context.grants.pathsFor('checkpoint')).toEqual([home])
})

// Rows 1, 5, 7, 11 to 14, 18.
test('the default session has every guard, and so has every web contents', async () => {
  const { securityModule } = await import('../../main/app/security.ts')
  await securityModule.enable(context)
  expect([...electron.handlers.keys()].sort()).toEqual([
    'app.on web-contents-created',
    'protocol.handle app',
    'session.onBeforeRequest',
    'session.setDevicePermissionHandler',
    'session.setPermissionCheckHandler',
    'session.setPermissionRequestHandler',
  ])
  const events: string[] = []
  const contents = {
    on: (name: string) => events.push(name),
    setWindowOpenHandler: () => events.push('open'),
  }
  handler('app.on web-contents-created')({}, contents)
  expect(events).toEqual([
    'will-navigate',
    'will-redirect',
    'will-frame-navigate',
    'will-attach-webview',
    'open',
  ])
})

// Rows 2 to 4. A window made with other preferences would have what the constant forbids.
test('the window is made with the stated preferences and loads our page', async () => {
  const { AppWindows } = await import('../../main/app/windows.ts')
  const { WEB_PREFERENCES } = await import('../../main/security/web-preferences.ts')
  await new AppWindows({ preloadFile: '/preload.cjs', stateFile: join(home, 'none.json') }).open()
  const [, options] = electron.calls.find(([name]) => name === 'new BrowserWindow') ?? []
  expect((options as { webPreferences: unknown }).webPreferences).toEqual({
    ...WEB_PREFERENCES,
    preload: '/preload.cjs',
  })
  expect(electron.calls).toContainEqual(['window.loadURL', 'app://ui/index.html'])
})

test('a second start brings the first window to the front', async () => {
  const { lifecycleModule } = await import('../../main/app/lifecycle.ts')
  await lifecycleModule.enable(context)
  handler('app.on second-instance')()
  expect(focused).toBe(1)
})

// Host process: what can change what a process loads is not handed on.
test('the host gets a fixed environment and no arguments', async () => {
  vi.stubEnv('LD_PRELOAD', '/evil.so')
  vi.stubEnv('NODE_OPTIONS', '--require /evil.cjs')
  vi.stubEnv('ELECTRON_RUN_AS_NODE', '1')
  vi.stubEnv('LANG', 'C')
  const { startHostProcess } = await import('../../main/app/host-process.ts')
  startHostProcess('/host.js', context.log)
  vi.unstubAllEnvs()
  const [, file, argv, options] = electron.calls.find(([name]) => name === 'utilityProcess.fork') ?? []
  expect([file, argv]).toEqual(['/host.js', []])
  const { env, execArgv, stdio } = options as {
    env: Record<string, string>
    execArgv: unknown
    stdio: unknown
  }
  expect([execArgv, stdio]).toEqual([[], 'pipe'])
  expect(env['LANG']).toBe('C')
  expect(Object.keys(env).filter((name) => /NODE|ELECTRON|PRELOAD/.test(name))).toEqual([])
})

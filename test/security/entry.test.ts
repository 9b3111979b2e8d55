import { beforeEach, expect, test, vi } from 'vitest'
import { makeFakeElectron, type FakeElectron } from '../fakes/fake-electron.ts'

let electron: FakeElectron
const bootstrap = vi.fn(() => Promise.resolve())

beforeEach(() => {
  electron = makeFakeElectron()
  bootstrap.mockClear()
  vi.resetModules()
  vi.doMock('electron', () => electron.module)
  vi.doMock('../../main/app/bootstrap.ts', () => ({ bootstrap }))
})

const names = (): readonly string[] => electron.calls.map(([name]) => name)
const start = async (): Promise<void> => {
  await import('../../main/index.ts')
  await vi.waitFor(() => {
    expect(bootstrap.mock.calls.length + names().filter((name) => name === 'app.quit').length).toBe(1)
  })
}

// Row 4. Catches a sandbox that is left to each window, and one that takes --no-sandbox away from root.
test('every renderer is sandboxed, unless the program was told that it cannot be', async () => {
  await start()
  expect(names()).toContain('app.enableSandbox')
})

test('--no-sandbox is honoured', async () => {
  electron.answers.hasSwitch = true
  await start()
  expect(names()).not.toContain('app.enableSandbox')
})

// Row 18. A scheme that is registered after `ready` is one without an origin.
test('the scheme is registered before the application waits for ready', async () => {
  await start()
  expect(names().indexOf('protocol.registerSchemesAsPrivileged')).toBeGreaterThanOrEqual(0)
  expect(names().indexOf('protocol.registerSchemesAsPrivileged')).toBeLessThan(
    names().indexOf('app.whenReady'),
  )
})

// One instance: two would write the same settings and the same exports.
test('a second start ends without opening anything', async () => {
  electron.answers.isFirst = false
  await start()
  expect(bootstrap).not.toHaveBeenCalled()
  expect(names()).toContain('app.quit')
  expect(names()).not.toContain('app.whenReady')
})

test('the first start goes on', async () => {
  await start()
  expect(bootstrap).toHaveBeenCalledOnce()
  expect(names()).not.toContain('app.quit')
})

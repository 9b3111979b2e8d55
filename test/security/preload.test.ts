import { join } from 'node:path'
import { build } from 'vite'
import { expect, test } from 'vitest'

const ENTRY = join(import.meta.dirname, '../../main/preload/index.ts')

async function bundle(): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      lib: { entry: ENTRY, formats: ['cjs'] },
      rolldownOptions: { external: ['electron'] },
    },
  })
  const outputs = Array.isArray(result) ? result : [result]
  const chunks = outputs.flatMap((output) => ('output' in output ? output.output : []))
  expect(chunks).toHaveLength(1)
  const chunk = chunks[0]
  return chunk?.type === 'chunk' ? chunk.code : ''
}

// Row 20. Catches a preload script that grew a schema library, a second chunk or a second exposed object.
test('the preload script is one small file that exposes one object with two functions', async () => {
  const code = await bundle()
  expect(Buffer.byteLength(code)).toBeLessThan(4096)
  expect(code.match(/exposeInMainWorld/g)).toHaveLength(1)
  expect(code.match(/require\([^)]*\)/g)).toEqual([expect.stringMatching(/^require\(.electron.\)$/)])
})

test('the page gets request and on, and no event object of Electron', async () => {
  const exposed: Record<string, unknown> = {}
  const invoked: unknown[][] = []
  const relays: ((...parts: unknown[]) => void)[] = []
  const sent: unknown[][] = []
  const domListeners: Record<string, (event: unknown) => void> = {}
  const electron = {
    contextBridge: { exposeInMainWorld: (name: string, api: unknown) => (exposed[name] = api) },
    ipcRenderer: {
      invoke: (...parts: unknown[]) => invoked.push(parts),
      on: (_channel: string, relay: (...parts: unknown[]) => void) => relays.push(relay),
      off: (_channel: string, relay: (...parts: unknown[]) => void) =>
        relays.splice(relays.indexOf(relay), 1),
      send: (...parts: unknown[]) => sent.push(parts),
    },
    webUtils: { getPathForFile: (file: { path: string }) => file.path },
  }
  const window = {
    addEventListener: (name: string, listener: (event: unknown) => void) => (domListeners[name] = listener),
  }
  const run = new Function('require', 'window', 'exports', 'module', await bundle()) as (
    ...parts: unknown[]
  ) => void
  run(() => electron, window, {}, {})

  expect(Object.keys(exposed)).toEqual(['quantmill'])
  const api = exposed['quantmill'] as {
    request(route: unknown, input: unknown): unknown
    on(event: string, listener: (...parts: unknown[]) => void): () => void
  }
  expect(Object.keys(api)).toEqual(['request', 'on'])
  void api.request('job.list', {})
  expect(invoked).toEqual([['quantmill:request', 'job.list', {}]])

  const heard: unknown[][] = []
  const stop = api.on('job.log', (...parts) => heard.push(parts))
  relays[0]?.({ sender: 'electron event' }, 'job.log', { message: 'hello' })
  relays[0]?.({ sender: 'electron event' }, 'job.snapshot', {})
  expect(heard).toEqual([[{ message: 'hello' }]])
  stop()
  expect(relays).toEqual([])

  const drop = {
    isTrusted: true,
    dataTransfer: { files: [{ path: '/model' }] },
    preventDefault: () => undefined,
  }
  domListeners['drop']?.({ ...drop, isTrusted: false })
  expect(sent).toEqual([])
  domListeners['drop']?.(drop)
  expect(sent).toEqual([['quantmill:drop', ['/model']]])
})

/**
 * The bridge into the page: two functions and nothing else. Channel names are fixed here, callbacks get payloads only, and paths of dropped
 * files go to main without passing through the page. Built into one CommonJS file below 4 KB. Checklist 20.
 */
import { contextBridge, ipcRenderer, webUtils, type IpcRendererEvent } from 'electron'
import { DROP_CHANNEL, EVENT_CHANNEL, REQUEST_CHANNEL } from '../ipc/channels.ts'

/** The page's events, as far as they are used here; the Node side is compiled without the DOM's types. */
interface DragEvent {
  readonly isTrusted: boolean
  readonly dataTransfer: { readonly files: Iterable<File> } | null
  preventDefault(): void
}
declare const window: {
  addEventListener(
    type: 'dragover' | 'drop',
    listener: (event: DragEvent) => void,
    useCapture?: boolean,
  ): void
}

const isListener = (value: unknown): value is (payload: unknown) => void => typeof value === 'function'

contextBridge.exposeInMainWorld('quantmill', {
  request: (route: unknown, input: unknown): Promise<unknown> =>
    ipcRenderer.invoke(REQUEST_CHANNEL, route, input),
  on: (event: unknown, listener: unknown): (() => void) => {
    const relay = (_event: IpcRendererEvent, name: unknown, payload: unknown): void => {
      if (name === event && isListener(listener)) listener(payload)
    }
    ipcRenderer.on(EVENT_CHANNEL, relay)
    return () => {
      ipcRenderer.off(EVENT_CHANNEL, relay)
    }
  },
})

window.addEventListener('dragover', (event) => {
  event.preventDefault()
})
window.addEventListener(
  'drop',
  (event) => {
    event.preventDefault()
    // A page can make drop events of its own; only the user's count.
    if (!event.isTrusted || event.dataTransfer === null) return
    const paths = [...event.dataTransfer.files].map((file) => webUtils.getPathForFile(file))
    ipcRenderer.send(DROP_CHANNEL, paths)
  },
  true,
)

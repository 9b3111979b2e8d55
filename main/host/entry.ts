/** Entry of the engine host as an Electron utility process. The only Electron it knows is `process.parentPort`. */
import { buildFiles } from './build-files.ts'
import { createEngineHost } from './engine-host.ts'
import { stripEnvironment } from './host-environment.ts'
import { serveHost } from './serve-host.ts'

stripEnvironment(process.env)
const port = process.parentPort
const host = createEngineHost({
  environment: buildFiles(import.meta.url),
  emit: (event, payload) => {
    port.postMessage({ kind: 'event', event, payload })
  },
})
serveHost(
  {
    post: (message) => {
      port.postMessage(message)
    },
    listen: (listener) => {
      port.on('message', ({ data }: { data: unknown }) => {
        listener(data)
      })
    },
  },
  host,
)

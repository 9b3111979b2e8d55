/** Entry of the device worker: takes requests one after the other. It must be idle when it is ended; see host/pool/device-client.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { AppError, invariant } from '../../shared/errors/app-error.ts'
import type { DeviceReply, DeviceRequest, DeviceWorkerData } from './device-protocol.ts'
import { DeviceService } from './device-service.ts'

/** Progress messages are at least this far apart. */
const PROGRESS_INTERVAL_MS = 100

const port = parentPort
invariant(port !== null, 'the device worker must be started as a worker thread')
const { stopFlag, loaderFile } = workerData as DeviceWorkerData
const stop = new Int32Array(stopFlag)
const service = new DeviceService(loaderFile)
let queue = Promise.resolve()

port.on('message', (request: DeviceRequest) => {
  if (request.name === 'close') service.interrupt()
  queue = queue.then(() => answer(request))
})

async function answer(request: DeviceRequest): Promise<void> {
  const { seq } = request
  let lastMs = -Infinity
  try {
    const value = await service.handle(request, {
      isCancelled: () => Atomics.load(stop, 0) !== 0,
      onProgress: (done, total) => {
        if (performance.now() - lastMs < PROGRESS_INTERVAL_MS) return
        lastMs = performance.now()
        send({ kind: 'progress', seq, done, total })
      },
      onNotice: (message) => {
        send({ kind: 'notice', seq, message })
      },
    })
    send({ kind: 'done', seq, value })
  } catch (error: unknown) {
    send({ kind: 'failed', seq, error: AppError.from(error).serialise() })
  }
}

function send(reply: DeviceReply): void {
  port?.postMessage(reply)
}

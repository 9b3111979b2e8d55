/** Entry of a helper thread of the device worker: reads units and converts them to the form in which they are uploaded. Never loads ONNX Runtime. */
import { parentPort, workerData } from 'node:worker_threads'
import { AppError, invariant } from '../../shared/errors/app-error.ts'
import { encodeUploads } from '../engine/calibration/resident/uploads.ts'
import { readFully } from '../engine/io/node/read-fully.ts'
import type { LoaderData, LoaderReply, LoaderRequest, LoadUnit } from './weight-loader-protocol.ts'

const port = parentPort
invariant(port !== null, 'the weight loader must be started as a worker thread')
const { acceptsHalf } = workerData as LoaderData
const free: ArrayBuffer[] = []

port.on('message', (request: LoaderRequest) => {
  if (request.kind === 'recycle') {
    free.push(...request.buffers)
    return
  }
  try {
    load(request)
  } catch (error: unknown) {
    send({ kind: 'failed', seq: request.seq, error: AppError.from(error).serialise() }, [])
  }
})

function load({ seq, upload, ranges, buffer }: LoadUnit): void {
  const startedMs = performance.now()
  const bytes = ranges.map((range, index) => {
    const view = new Uint8Array(buffer, range.bufferOffsetBytes, range.sizeBytes)
    const name = upload.unit.slices[index]?.name ?? upload.unit.label
    readFully(range.descriptor, view, range.offsetBytes, name)
    return view
  })
  const readMs = performance.now() - startedMs
  const uploads = encodeUploads(upload, bytes, acceptsHalf, takeBuffer)
  const convertMs = performance.now() - startedMs - readMs
  send(
    { kind: 'loaded', seq, uploads, readMs, convertMs },
    uploads.map(({ data }) => data.buffer),
  )
}

/** Sizes repeat from layer to layer; what does not fit any more is dropped once there is much of it. */
function takeBuffer(sizeBytes: number): ArrayBuffer {
  const found = free.findIndex(({ byteLength }) => byteLength === sizeBytes)
  if (found >= 0) return free.splice(found, 1)[0] ?? new ArrayBuffer(sizeBytes)
  if (free.length > MAX_FREE) free.length = 0
  return new ArrayBuffer(sizeBytes)
}

/** More buffers than three units of experts have. */
const MAX_FREE = 256

function send(reply: LoaderReply, transfer: readonly ArrayBuffer[]): void {
  port?.postMessage(reply, [...transfer])
}

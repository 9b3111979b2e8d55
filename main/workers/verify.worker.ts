/** Entry of a thread that compares matrices of an export with their source: one task at a time, by the reference code. */
import { parentPort, workerData } from 'node:worker_threads'
import { AppError, invariant } from '../../shared/errors/app-error.ts'
import { NodeCheckpointFolder } from '../engine/io/node/checkpoint-folder.ts'
import { PlainComparer } from '../engine/verify/compare-matrix.ts'
import type { ReadableCheckpoint } from '../engine/verify/windowed-reader.ts'
import type { ComparedFolder, MatrixMessage, MatrixReply, VerifyWorkerData } from './verify-protocol.ts'

const port = parentPort
invariant(port !== null, 'the verify worker must be started as a worker thread')
const { exported, source } = workerData as VerifyWorkerData
const comparer = new PlainComparer(readable(exported), readable(source))

port.on('message', ({ task }: MatrixMessage) => {
  const answer = (reply: MatrixReply): void => {
    port.postMessage(reply)
  }
  comparer.compare(task).then(
    (comparison) => {
      answer({ ok: true, comparison })
    },
    (error: unknown) => {
      answer({ ok: false, error: AppError.from(error).serialise() })
    },
  )
})

function readable({ path, shards }: ComparedFolder): ReadableCheckpoint {
  return { folder: new NodeCheckpointFolder(path), shards }
}

/** Entry of an export worker: one task at a time, state isolated in this thread's arena. Never loads ONNX Runtime. */
import { parentPort, workerData } from 'node:worker_threads'
import { AppError, invariant } from '../../shared/errors/app-error.ts'
import { measureWeights } from './measure-weights.ts'
import { runExportTask } from './run-export-task.ts'
import { KernelArena } from '../engine/kernels/wasm/kernel-arena.ts'
import type { ExportWorkerData, TaskMessage, TaskReply } from './export-protocol.ts'

const port = parentPort
invariant(port !== null, 'the export worker must be started as a worker thread')
const { kernels, memory } = workerData as ExportWorkerData
const arena = KernelArena.create(kernels)
let isMemoryClaimed = false

port.on('message', ({ seq, task }: TaskMessage) => {
  let reply: TaskReply
  try {
    if (!isMemoryClaimed) arena.claim(memory.inputBytes, memory.outputBytes)
    isMemoryClaimed = true
    const isMeasuring = task.kind === 'weight_channels' || task.kind === 'rounding_errors'
    reply = { seq, ok: true, result: isMeasuring ? measureWeights(arena, task) : runExportTask(arena, task) }
  } catch (error: unknown) {
    reply = { seq, ok: false, error: AppError.from(error).serialise() }
  }
  port.postMessage(reply)
})

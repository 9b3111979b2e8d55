/** Token ids from a safetensors file: tensor `input_ids`, int32 or int64, [sequences, tokens]. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import { parseShardHeader } from '../../formats/safetensors/parse-header.ts'
import type { TokenBatch } from '../hidden-states.ts'
import type { CalibrationRequest } from './calibration-input.ts'

const NAME = 'input_ids'

/**
 * The first rows, as many as may be looked at. Throws CALIBRATION_DATA_INVALID for a missing or wrongly shaped tensor, rows longer than the model's positions
 * and ids outside 0..vocabSize−1, CALIBRATION_DATA_EMPTY, and every header error.
 */
export function readTokenMatrix(
  file: string,
  bytes: Uint8Array,
  {
    vocabSize,
    samples,
    maxSamples = samples,
    maxPositions = Infinity,
  }: Pick<CalibrationRequest, 'vocabSize' | 'samples' | 'maxSamples' | 'maxPositions'>,
): TokenBatch {
  const { tensors, dataStartBytes } = parseShardHeader(bytes, file, bytes.length)
  const tensor = tensors.find(({ name }) => name === NAME)
  if (tensor === undefined) {
    const names = tensors.map(({ name }) => name).slice(0, 8)
    throw invalid(file, `it has no tensor ${NAME} (found: ${names.join(', ') || 'nothing'})`)
  }
  const [rows, time] = tensor.shape
  if (tensor.shape.length !== 2 || rows === undefined || time === undefined) {
    throw invalid(file, `${NAME} has shape [${tensor.shape.join(', ')}], not [sequences, tokens]`)
  }
  if (rows * time === 0) {
    throw new AppError('CALIBRATION_DATA_EMPTY', {
      subject: file,
      problem: `${NAME} has shape [${tensor.shape.join(', ')}]`,
      remedy: 'give at least one sequence',
    })
  }
  checkRowLength(file, time, maxPositions)
  const batch = Math.min(rows, maxSamples)
  const view = new DataView(bytes.buffer, bytes.byteOffset + dataStartBytes + tensor.beginBytes)
  const ids = new Int32Array(batch * time)
  for (let index = 0; index < ids.length; index += 1) {
    const id = readId(view, tensor.dtype, index, file)
    if (!(id >= 0 && id < vocabSize)) {
      const place = `row ${String(Math.floor(index / time))}, position ${String(index % time)}`
      throw invalid(file, `token ${String(id)} at ${place} is not in 0 to ${String(vocabSize - 1)}`)
    }
    ids[index] = id
  }
  return { batch, time, ids }
}

/** Longer rows would be calibrated on positions that the model never learned. */
function checkRowLength(file: string, time: number, maxPositions: number): void {
  if (time <= maxPositions) return
  throw new AppError('CALIBRATION_DATA_INVALID', {
    subject: file,
    problem: `rows of ${String(time)} tokens are longer than the model's context of ${String(maxPositions)}`,
    remedy: `cut the rows to ${String(maxPositions)} tokens or less`,
  })
}

function readId(view: DataView, dtype: string, index: number, file: string): number {
  if (dtype === 'I32') return view.getInt32(index * 4, true)
  if (dtype === 'I64') return Number(view.getBigInt64(index * 8, true))
  throw invalid(file, `${NAME} is ${dtype}, not int32 or int64`)
}

function invalid(subject: string, problem: string): AppError {
  return new AppError('CALIBRATION_DATA_INVALID', {
    subject,
    problem,
    remedy: `give an int32 or int64 matrix called ${NAME} with token ids of this model`,
  })
}

/** Calibration data to token sequences: text is tokenized, joined with the separator and cut into windows; token ids are checked. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import { CheckpointTokenizer } from '../../tokenizer/checkpoint-tokenizer.ts'
import type { CalibrationData, CalibrationInput, CalibrationRequest } from './calibration-input.ts'
import { jsonlDocuments } from './jsonl-documents.ts'
import { WindowPacker } from './pack-windows.ts'
import { readTokenMatrix } from './read-token-matrix.ts'
import { textPieces } from './text-pieces.ts'

/**
 * Reads only as much text as `samples` windows need. Throws CALIBRATION_DATA_INVALID naming file and line, CALIBRATION_DATA_EMPTY,
 * TOKENIZER_MISSING, TOKENIZER_INVALID.
 */
export function loadCalibrationData(request: CalibrationRequest): CalibrationData {
  const { input, vocabSize, samples, sequenceLength } = request
  if (input.kind === 'safetensors') {
    return { batch: readTokenMatrix(input.name, input.bytes, vocabSize, samples), warnings: [] }
  }
  const tokenizer = CheckpointTokenizer.create(request.tokenizer)
  const separator = request.separatorId ?? tokenizer.endOfTextId
  const packer = new WindowPacker(samples, sequenceLength)
  for (const document of documentsOf(input, tokenizer)) {
    for (const piece of textPieces(document)) {
      packer.add(tokenizer.encode(piece))
      if (packer.isFull) break
    }
    if (separator !== undefined) packer.add([separator])
    if (packer.isFull) break
  }
  const batch = packer.finish(input.name)
  checkVocabulary(batch.ids, vocabSize)
  return { batch, warnings: [...tokenizer.warnings, ...shortage(batch, request)] }
}

function* documentsOf(
  input: Exclude<CalibrationInput, { kind: 'safetensors' }>,
  tokenizer: CheckpointTokenizer,
): Iterable<string> {
  if (input.kind === 'documents') yield* input.documents
  else if (input.kind === 'txt') yield decodeText(input.name, input.bytes)
  else yield* jsonlDocuments(input.name, decodeText(input.name, input.bytes), tokenizer)
}

function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new AppError('CALIBRATION_DATA_INVALID', {
      subject: name,
      problem: 'it is not UTF-8 text',
      remedy: 'convert it to UTF-8',
    })
  }
}

/** A tokenizer of another model gives ids that have no embedding row. */
function checkVocabulary(ids: Int32Array, vocabSize: number): void {
  const bad = ids.find((id) => id >= vocabSize)
  if (bad === undefined) return
  throw new AppError('TOKENIZER_INVALID', {
    subject: 'tokenizer.json',
    problem: `it gives token ${String(bad)}, the model has ${String(vocabSize)}`,
    remedy: 'use the tokenizer files of this model',
  })
}

function shortage(
  { batch, time }: CalibrationData['batch'],
  { samples, sequenceLength }: CalibrationRequest,
): readonly string[] {
  if (batch === samples && time === sequenceLength) return []
  return [
    `the data gives ${String(batch)} of ${String(samples)} sequences of ${String(time)} tokens; experts may stay uncovered`,
  ]
}

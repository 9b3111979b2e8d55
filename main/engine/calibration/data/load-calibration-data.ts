/** Calibration data to token sequences: text is tokenized, joined with the separator and cut into windows; token ids are checked. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import { CheckpointTokenizer } from '../../tokenizer/checkpoint-tokenizer.ts'
import type { CalibrationData, CalibrationInput, CalibrationRequest } from './calibration-input.ts'
import { jsonlDocuments, type JsonlDocument } from './jsonl-documents.ts'
import { WindowPacker } from './pack-windows.ts'
import { readTokenMatrix } from './read-token-matrix.ts'
import { decodeText } from './decode-text.ts'
import { textPieces } from './text-pieces.ts'

/**
 * Tokenizes only as much text as the windows need, but checks every line. Throws CALIBRATION_DATA_INVALID naming file and line, CALIBRATION_DATA_EMPTY,
 * TOKENIZER_MISSING, TOKENIZER_INVALID.
 */
export function loadCalibrationData(request: CalibrationRequest): CalibrationData {
  const { input, vocabSize, samples, maxSamples = samples, sequenceLength } = request
  if (input.kind === 'safetensors') {
    const batch = readTokenMatrix(input.name, input.bytes, request)
    return { batch, warnings: shortage(batch, { samples, sequenceLength: batch.time }) }
  }
  checkLength(request)
  const tokenizer = CheckpointTokenizer.create(request.tokenizer)
  const separator = request.separatorId ?? tokenizer.endOfTextId
  const packer = new WindowPacker(maxSamples, sequenceLength)
  for (const document of documentsOf(input)) {
    if (!packer.isFull) addDocument(packer, document, tokenizer, separator)
  }
  const batch = packer.finish(input.name)
  checkVocabulary(batch.ids, vocabSize)
  return { batch, warnings: [...tokenizer.warnings, ...shortage(batch, request)] }
}

/** Stops where the windows are full. */
function addDocument(
  packer: WindowPacker,
  document: string | JsonlDocument,
  tokenizer: CheckpointTokenizer,
  separator: number | undefined,
): void {
  for (const piece of textPieces(textOf(document, tokenizer))) {
    packer.add(tokenizer.encode(piece))
    if (packer.isFull) return
  }
  if (separator !== undefined) packer.add([separator])
}

function* documentsOf(
  input: Exclude<CalibrationInput, { kind: 'safetensors' }>,
): Iterable<string | JsonlDocument> {
  if (input.kind === 'documents') yield* input.documents
  else if (input.kind === 'txt') yield decodeText(input.name, input.bytes)
  else yield* jsonlDocuments(input.name, decodeText(input.name, input.bytes))
}

function textOf(document: string | JsonlDocument, tokenizer: CheckpointTokenizer): string {
  if (typeof document === 'string') return document
  if (document.kind === 'text') return document.text
  return tokenizer.renderChat(document.messages, document.subject)
}

/** Windows longer than the model's positions would be calibrated on positions that it never learned. */
function checkLength({ input, sequenceLength, maxPositions = Infinity }: CalibrationRequest): void {
  if (sequenceLength <= maxPositions) return
  throw new AppError('CALIBRATION_DATA_INVALID', {
    subject: input.name,
    problem: `a sequence of ${String(sequenceLength)} tokens is longer than the model's context of ${String(maxPositions)}`,
    remedy: `use --seq-len ${String(maxPositions)} or less`,
  })
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
  { samples, sequenceLength }: Pick<CalibrationRequest, 'samples' | 'sequenceLength'>,
): readonly string[] {
  if (batch >= samples && time === sequenceLength) return []
  return [
    `the data gives ${String(batch)} of ${String(samples)} sequences of ${String(time)} tokens; experts may stay uncovered`,
  ]
}

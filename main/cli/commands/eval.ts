import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EXPERT_INPUT_ARITHMETICS } from '../../../shared/domain/quality-report.ts'
import { DEVICES, type DeviceChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { CalibrationRequest } from '../../engine/calibration/data/calibration-input.ts'
import type { PerplexityResult } from '../../engine/calibration/evaluate-perplexity.ts'
import type { Checkpoint } from '../../engine/checkpoint/checkpoint.ts'
import { readCalibrationFiles } from '../../engine/io/node/calibration-files.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import type { QwenTextConfig } from '../../engine/models/qwen3_5-moe/text-config.ts'
import type { DeviceKind } from '../../engine/onnx/graph-runtime.ts'
import { qualityReport } from '../../engine/quality/quality-report.ts'
import { notFinite } from '../../engine/quality/quality-stream.ts'
import { expectedModel } from '../../engine/verify/expected-model.ts'
import { openExport } from '../../engine/verify/open-export.ts'
import { readDeclarations } from '../../engine/verify/read-declarations.ts'
import { openModel, requireFolder } from '../../host/jobs/prepare-run.ts'
import { stateLimitBytes } from '../../host/jobs/state-memory.ts'
import { DeviceClient } from '../../host/pool/device-client.ts'
import { chooseDevice } from '../../host/pool/probe-devices.ts'
import type { EvaluateWindows, Evaluation } from '../../workers/device-protocol.ts'
import { parseArguments, parseMemory, required, userPath } from '../arguments.ts'
import type { Command, CommandContext } from '../command.ts'
import { qualityText } from '../quality-text.ts'
import { MEMORY_HELP } from '../run-arguments.ts'

const CANCEL_POLL_MS = 100
const DEFAULT_SAMPLES = 64
const DEFAULT_SEQUENCE_LENGTH = 512

const OPTION_TABLE = {
  data: { type: 'string' },
  against: { type: 'string' },
  samples: { type: 'string' },
  'seq-len': { type: 'string' },
  'expert-inputs': { type: 'string' },
  device: { type: 'string' },
  memory: { type: 'string' },
  json: { type: 'boolean' },
} as const

export const evalCommand: Command = {
  name: 'eval',
  summary: 'perplexity of a checkpoint or export, and what a quantization cost',
  help: `quantmill eval <checkpoint or export> --data FILE|builtin [--against CHECKPOINT] [options] [--json]

  --data FILE|builtin        .txt, .jsonl (text or messages) or .safetensors (input_ids)
  --against CHECKPOINT       what the export was made from: divergence, and the error of every layer and expert
  --samples N, --seq-len N   windows and their length (default ${String(DEFAULT_SAMPLES)} x ${String(DEFAULT_SEQUENCE_LENGTH)})
  --expert-inputs A          layer_max (default): one input scale for all experts of a layer, as most kernels
                             take it | per_expert
  --device D                 auto (default; cpu for exports and comparisons) | cpu | webgpu | cuda; layers whose
                             inputs or cache are rounded run on the CPU
${MEMORY_HELP}

Mean over positions 1 to N-1 of every window, each window alone, in 32-bit floating point. Of an export the stored weights are decoded, and
inputs and cache are rounded as it declares.`,
  async run(argv, context) {
    const { print, files } = context
    const options = readOptions(argv)
    const { path, againstPath, data, expertInputs } = options
    if (againstPath !== undefined) await requireFolder(againstPath)
    const { checkpoint, text, isExport } = await openSubject(path)
    const request = await readCalibrationFiles({
      checkpoint,
      vocabSize: text.vocabSize,
      maxPositions: text.maxPositions,
      calibrationPath: data === 'builtin' ? undefined : userPath(data),
      samples: options.samples,
      sequenceLength: options.sequenceLength,
    })
    const choice =
      (isExport || againstPath !== undefined) && options.device === 'auto' ? 'cpu' : options.device
    const device = await chooseDevice(choice, files.deviceWorkerFile)
    const { results, comparison, windows } = await measure(context, device, request, options)
    const result = firstResult(results, data, path)
    const quality = comparison && qualityReport(comparison.all, comparison.layers, windows, expertInputs)
    const subject = { checkpoint: checkpoint.folder.displayPath, data, device, windows, ...result }
    if (options.isJson) print(JSON.stringify({ ...subject, against: againstPath, quality }))
    else if (quality === undefined) print(perplexityText(result, windows, device))
    else print(qualityText(quality).join('\n'))
    return 0
  },
}

interface EvalOptions extends Pick<EvaluateWindows, 'path' | 'againstPath' | 'expertInputs'> {
  readonly data: string
  readonly samples: number
  readonly sequenceLength: number
  readonly device: DeviceChoice
  readonly isJson: boolean
  /** For the hidden states of one model. */
  readonly limitBytes: number
}

function readOptions(argv: readonly string[]): EvalOptions {
  const parsed = parseArguments('eval', argv, OPTION_TABLE, ['checkpoint'])
  const againstPath = parsed.path('against')
  const memoryBytes = stateLimitBytes(parseMemory('eval', parsed.text('memory')))
  return {
    path: userPath(parsed.positionals[0] ?? ''),
    againstPath,
    expertInputs: parsed.choice('expert-inputs', EXPERT_INPUT_ARITHMETICS) ?? 'layer_max',
    data: required('eval', 'data', parsed.text('data')),
    samples: parsed.wholeNumber('samples', 1) ?? DEFAULT_SAMPLES,
    sequenceLength: parsed.wholeNumber('seq-len', 2) ?? DEFAULT_SEQUENCE_LENGTH,
    device: parsed.choice('device', DEVICES) ?? 'auto',
    isJson: parsed.flag('json'),
    limitBytes: againstPath === undefined ? memoryBytes : Math.floor(memoryBytes / 2),
  }
}

function firstResult([result]: readonly PerplexityResult[], data: string, path: string): PerplexityResult {
  if (result === undefined || result.tokens === 0) throw nothingPredicted(data)
  if (!Number.isFinite(result.perplexity)) throw notFinite(path, 'its loss is not a finite number')
  return result
}

interface Measured extends Evaluation {
  readonly windows: number
}

/** On a device worker of its own, with a scratch folder that is gone afterwards. */
async function measure(
  { note, files, isTerminal, isCancelled }: CommandContext,
  device: DeviceKind,
  request: CalibrationRequest,
  { path, againstPath, expertInputs, limitBytes }: EvalOptions,
): Promise<Measured> {
  const client = await DeviceClient.start({ workerFile: files.deviceWorkerFile, device })
  const poll = setInterval(() => {
    if (isCancelled()) client.cancel()
  }, CANCEL_POLL_MS)
  const scratchFolder = await mkdtemp(join(tmpdir(), 'quantmill-eval-'))
  try {
    const { batch, warnings } = await client.loadData(request)
    for (const warning of warnings) note(`warning: ${warning}\n`)
    const states = { limitBytes, scratchPath: join(scratchFolder, 'hidden-states.scratch') }
    const input = { path, againstPath, expertInputs, windows: [batch], states }
    const evaluation = await client.evaluate(input, (done, total) => {
      if (isTerminal) note(`\r\u001b[Klayer ${String(done)} of ${String(total)}`)
    })
    if (isTerminal) note('\r\u001b[K')
    return { ...evaluation, windows: batch.batch }
  } finally {
    clearInterval(poll)
    await client.close()
    await rm(scratchFolder, { recursive: true, force: true })
  }
}

function perplexityText(
  { perplexity, nllMean, tokens }: PerplexityResult,
  windows: number,
  device: DeviceKind,
): string {
  const loss = `perplexity ${perplexity.toPrecision(6)} (mean loss ${nllMean.toPrecision(6)} nats)`
  return `${loss} over ${String(tokens)} tokens in ${String(windows)} windows, ${device}`
}

interface Subject {
  readonly checkpoint: Checkpoint
  readonly text: QwenTextConfig
  readonly isExport: boolean
}

/** Throws CHECKPOINT_NOT_FOUND and what is wrong with headers and configuration. */
async function openSubject(path: string): Promise<Subject> {
  await requireFolder(path)
  const opened = await openExport(new NodeCheckpointFolder(path))
  const isExport = readDeclarations(opened).length > 0
  const { checkpoint } = opened
  const { text } = isExport ? expectedModel(checkpoint) : (await openModel(path)).model
  return { checkpoint, text, isExport }
}

function nothingPredicted(data: string): AppError {
  return new AppError('CALIBRATION_DATA_EMPTY', {
    subject: data,
    problem: 'no token of it can be predicted',
    remedy: 'give windows of at least two tokens',
  })
}

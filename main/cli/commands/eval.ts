import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEVICES } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { readCalibrationFiles } from '../../engine/io/node/calibration-files.ts'
import { openModel } from '../../host/jobs/prepare-run.ts'
import { stateLimitBytes } from '../../host/jobs/state-memory.ts'
import { DeviceClient } from '../../host/pool/device-client.ts'
import { chooseDevice } from '../../host/pool/probe-devices.ts'
import { parseArguments, parseMemory, required, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'
import { MEMORY_HELP } from '../run-arguments.ts'

const CANCEL_POLL_MS = 100
const DEFAULT_SAMPLES = 64
const DEFAULT_SEQUENCE_LENGTH = 512

export const evalCommand: Command = {
  name: 'eval',
  summary: 'perplexity of an unquantized checkpoint on your own text or token ids',
  help: `quantmill eval <checkpoint> --data FILE|builtin [options] [--json]

  --data FILE|builtin        .txt, .jsonl (text or messages) or .safetensors (input_ids)
  --samples N, --seq-len N   windows and their length (default ${String(DEFAULT_SAMPLES)} x ${String(DEFAULT_SEQUENCE_LENGTH)})
  --device D                 auto (default) | cpu | webgpu | cuda
${MEMORY_HELP}

Mean over positions 1 to N-1 of every window, each window alone, in 32-bit floating point.`,
  async run(argv, { print, note, files, isTerminal, isCancelled }) {
    const table = {
      data: { type: 'string' },
      samples: { type: 'string' },
      'seq-len': { type: 'string' },
      device: { type: 'string' },
      memory: { type: 'string' },
      json: { type: 'boolean' },
    } as const
    const parsed = parseArguments('eval', argv, table, ['checkpoint'])
    const data = required('eval', 'data', parsed.text('data'))
    const limitBytes = stateLimitBytes(parseMemory('eval', parsed.text('memory')))
    const { folder, checkpoint, model } = await openModel(userPath(parsed.positionals[0] ?? ''))
    const request = await readCalibrationFiles({
      checkpoint,
      vocabSize: model.text.vocabSize,
      maxPositions: model.text.maxPositions,
      calibrationPath: data === 'builtin' ? undefined : userPath(data),
      samples: parsed.wholeNumber('samples', 1) ?? DEFAULT_SAMPLES,
      sequenceLength: parsed.wholeNumber('seq-len', 2) ?? DEFAULT_SEQUENCE_LENGTH,
    })
    const device = await chooseDevice(parsed.choice('device', DEVICES) ?? 'auto', files.deviceWorkerFile)
    const client = await DeviceClient.start({ workerFile: files.deviceWorkerFile, device })
    const poll = setInterval(() => {
      if (isCancelled()) client.cancel()
    }, CANCEL_POLL_MS)
    const scratchFolder = await mkdtemp(join(tmpdir(), 'quantmill-eval-'))
    const handles = await Promise.all(
      checkpoint.shards.map(({ fileName }) => open(folder.pathOf(fileName), 'r')),
    )
    try {
      const { batch, warnings } = await client.loadData(request)
      for (const warning of warnings) note(`warning: ${warning}\n`)
      const descriptors = handles.map((handle) => handle.fd)
      const states = { limitBytes, scratchPath: join(scratchFolder, 'hidden-states.scratch') }
      const input = { model, descriptors, windows: [batch], states }
      const [result] = await client.evaluate(input, (done, total) => {
        if (isTerminal) note(`\r\u001b[Klayer ${String(done)} of ${String(total)}`)
      })
      if (isTerminal) note('\r\u001b[K')
      if (result === undefined || !Number.isFinite(result.perplexity)) throw nothingPredicted(data)
      const outcome = {
        checkpoint: checkpoint.folder.displayPath,
        data,
        device,
        windows: batch.batch,
        ...result,
      }
      print(
        parsed.flag('json')
          ? JSON.stringify(outcome)
          : `perplexity ${result.perplexity.toPrecision(6)} (mean loss ${result.nllMean.toPrecision(6)} nats) over ${String(result.tokens)} tokens in ${String(batch.batch)} windows, ${device}`,
      )
      return 0
    } finally {
      clearInterval(poll)
      await client.close()
      await Promise.all(handles.map((handle) => handle.close()))
      await rm(scratchFolder, { recursive: true, force: true })
    }
  },
}

function nothingPredicted(data: string): AppError {
  return new AppError('CALIBRATION_DATA_EMPTY', {
    subject: data,
    problem: 'no token of it can be predicted',
    remedy: 'give windows of at least two tokens',
  })
}

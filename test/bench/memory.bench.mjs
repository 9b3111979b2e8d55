// Peak resident memory of an export must not grow with the number of layers: the same run on 2 and on 8 layers of a synthetic checkpoint.
// The young generation is as small as `npm run quantmill` makes it.
// With --tokens N the run calibrates on N random tokens on the CPU, as sequences of 512, with hidden states in at most --memory.
// usage: npm run bench -- memory [--like SHAPE] [--layers 2,8] [--recipe R] [--workers N] [--tokens N] [--memory SIZE] [--folder DIR]
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const cli = join(import.meta.dirname, '../../out/main/cli.js')
const { values } = parseArgs({
  options: {
    like: { type: 'string', default: 'qwen3.5-35b-a3b' },
    layers: { type: 'string', default: '2,8' },
    recipe: { type: 'string' },
    tokens: { type: 'string', default: '0' },
    memory: { type: 'string', default: '1GB' },
    workers: { type: 'string', default: '2' },
    folder: { type: 'string', default: tmpdir() },
  },
})

const SEQUENCE_LENGTH = 512
const sequences = Math.ceil(Number(values.tokens) / SEQUENCE_LENGTH)
const recipe =
  values.recipe ??
  (sequences > 0 ? 'nvfp4_experts_only-kv_fp8' : 'nvfp4_experts_only_input_scale1-kv_fp8_cast')

/** Token ids as a safetensors file, the same for the same vocabulary. */
function writeTokens(file, vocabSize) {
  const ids = new Int32Array(sequences * SEQUENCE_LENGTH)
  let state = 1
  for (let index = 0; index < ids.length; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    ids[index] = state % vocabSize
  }
  const entry = { dtype: 'I32', shape: [sequences, SEQUENCE_LENGTH], data_offsets: [0, ids.byteLength] }
  const json = JSON.stringify({ input_ids: entry }).padEnd(128)
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(BigInt(json.length))
  writeFileSync(file, Buffer.concat([head, Buffer.from(json), Buffer.from(ids.buffer)]))
}

function calibrationArguments(folder, source) {
  if (sequences === 0) return []
  const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8'))
  const file = join(folder, 'tokens.safetensors')
  writeTokens(file, (config.text_config ?? config).vocab_size)
  const length = String(SEQUENCE_LENGTH)
  const data = ['--calib', file, '--samples', String(sequences), '--seq-len', length]
  return [...data, '--device', 'cpu', '--memory', values.memory]
}

function quantmill(...argv) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--max-semi-space-size=1', cli, ...argv], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (status !== 0) throw new Error(`quantmill ${argv.join(' ')} ended with ${status}: ${stderr}`)
  return stdout
}

const rows = []
for (const layers of values.layers.split(',')) {
  const folder = mkdtempSync(join(values.folder, 'quantmill-bench-'))
  try {
    const source = join(folder, 'source')
    quantmill('sample', '--like', values.like, '--layers', layers, '--out', source)
    const out = join(folder, 'export')
    const argv = [
      'run',
      source,
      '--recipe',
      recipe,
      '--workers',
      values.workers,
      '--out',
      out,
      '--json',
      ...calibrationArguments(folder, source),
    ]
    const report = JSON.parse(quantmill(...argv))
    rows.push({
      layers: Number(layers),
      sourceBytes: report.sourceBytes,
      outputBytes: report.outputBytes,
      seconds: report.durationMs / 1000,
      peakResidentMiB: report.peakResidentBytes / 2 ** 20,
      bytesReadRatio: report.bytesRead / report.sourceBytes,
      spilledBytes: report.spilledBytes,
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
const ratio = rows.at(-1).peakResidentMiB / rows[0].peakResidentMiB
console.log(
  JSON.stringify(
    { bench: 'memory', ...values, recipe, cpu: cpus()[0].model, node: process.version, rows, ratio },
    null,
    2,
  ),
)
console.log(
  `peak of ${rows.at(-1).layers} layers / peak of ${rows[0].layers} layers = ${ratio.toFixed(3)} (bound 1.10)`,
)

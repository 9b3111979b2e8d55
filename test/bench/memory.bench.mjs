// Peak resident memory of an export must not grow with the number of layers: the same run on 2 and on 8 layers of a synthetic checkpoint.
// The young generation is as small as `npm run quantmill` makes it.
// usage: npm run bench -- memory [--like SHAPE] [--layers 2,8] [--recipe R] [--workers N]
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const cli = join(import.meta.dirname, '../../out/main/cli.js')
const { values } = parseArgs({
  options: {
    like: { type: 'string', default: 'qwen3.5-35b-a3b' },
    layers: { type: 'string', default: '2,8' },
    recipe: { type: 'string', default: 'nvfp4_experts_only_input_scale1-kv_fp8_cast' },
    workers: { type: 'string', default: '2' },
    folder: { type: 'string', default: tmpdir() },
  },
})

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
      values.recipe,
      '--workers',
      values.workers,
      '--out',
      out,
      '--json',
    ]
    const report = JSON.parse(quantmill(...argv))
    rows.push({
      layers: Number(layers),
      sourceBytes: report.sourceBytes,
      outputBytes: report.outputBytes,
      seconds: report.durationMs / 1000,
      peakResidentMiB: report.peakResidentBytes / 2 ** 20,
      bytesReadRatio: report.bytesRead / report.sourceBytes,
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
const ratio = rows.at(-1).peakResidentMiB / rows[0].peakResidentMiB
console.log(
  JSON.stringify(
    { bench: 'memory', ...values, cpu: cpus()[0].model, node: process.version, rows, ratio },
    null,
    2,
  ),
)
console.log(
  `peak of ${rows.at(-1).layers} layers / peak of ${rows[0].layers} layers = ${ratio.toFixed(3)} (bound 1.10)`,
)

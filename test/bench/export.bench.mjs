// Time of a data-free export against `cp -r` of the same checkpoint: formats x workers, interleaved, page cache dropped where allowed.
// usage: npm run bench -- export [--like SHAPE] [--layers N] [--recipes a,b] [--workers 1,2] [--runs N] [--folder DIR] [--source DIR]
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '../..')
const cli = join(root, 'out/main/cli.js')
const { values } = parseArgs({
  options: {
    like: { type: 'string', default: 'qwen3.5-35b-a3b' },
    layers: { type: 'string', default: '2' },
    recipes: { type: 'string', default: 'nvfp4_weight_only-kv_fp16,fp8_per_channel_per_token,mxfp8' },
    workers: { type: 'string', default: String(availableParallelism()) },
    runs: { type: 'string', default: '3' },
    folder: { type: 'string', default: tmpdir() },
    source: { type: 'string' },
  },
})

function command(program, ...argv) {
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(program, argv, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) throw new Error(`${program} ${argv.join(' ')} ended with ${status}: ${stderr}`)
  return { seconds: (performance.now() - started) / 1000, stdout }
}

/** Writes back and drops the page cache; false where the system does not let us. */
function dropCaches() {
  spawnSync('sync')
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3')
    return true
  } catch {
    return false
  }
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]
const folder = mkdtempSync(join(values.folder, 'quantmill-bench-'))
let isCold = true
try {
  const source = values.source ?? join(folder, 'source')
  if (values.source === undefined) {
    command(
      process.execPath,
      cli,
      'sample',
      '--like',
      values.like,
      '--layers',
      values.layers,
      '--out',
      source,
    )
  }
  const subjects = [['cp -r', undefined, undefined]]
  for (const recipe of values.recipes.split(',')) {
    for (const workers of values.workers.split(','))
      subjects.push([`${recipe}, ${workers} workers`, recipe, workers])
  }
  const results = new Map(subjects.map(([name]) => [name, { seconds: [], report: undefined }]))
  for (let run = 0; run < Number(values.runs); run += 1) {
    for (const [name, recipe, workers] of subjects) {
      const out = join(folder, 'out')
      rmSync(out, { recursive: true, force: true })
      isCold = dropCaches() && isCold
      const entry = results.get(name)
      if (recipe === undefined) entry.seconds.push(command('cp', '-r', source, out).seconds)
      else {
        const argv = ['run', source, '--recipe', recipe, '--workers', workers, '--out', out, '--json']
        const { seconds, stdout } = command(process.execPath, cli, ...argv)
        entry.seconds.push(seconds)
        entry.report = JSON.parse(stdout)
      }
    }
  }
  const copySeconds = median(results.get('cp -r').seconds)
  const rows = [...results].map(([name, { seconds, report }]) => ({
    name,
    medianSeconds: median(seconds),
    ratioToCopy: median(seconds) / copySeconds,
    sourceGBPerSecond: report === undefined ? undefined : report.sourceBytes / 1e9 / median(seconds),
    peakResidentMiB: report === undefined ? undefined : report.peakResidentBytes / 2 ** 20,
    stageDurationsMs: report?.stageDurationsMs,
  }))
  const environment = {
    cpu: cpus()[0].model,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
    isCold,
  }
  const record = { bench: 'export', schema: 1, options: values, environment, rows }
  mkdirSync(join(root, 'test/bench/results'), { recursive: true })
  writeFileSync(join(root, 'test/bench/results/export.json'), `${JSON.stringify(record, null, 2)}\n`)
  console.table(rows.map(({ stageDurationsMs: _, ...row }) => row))
  console.log(JSON.stringify(environment))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

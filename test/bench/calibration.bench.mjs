// Calibration from files in the page cache to finished statistics, without an export. Needs a build, Node and onnxruntime-node only.
// usage: npm run bench -- calibration [--like SHAPE] [--layers N] [--samples N] [--seq-len N] [--device cpu|webgpu|cuda] [--repeat N]
//        [--check: compares with the CPU] [--gpu-gb N: memory budget] [--folder DIR: keeps the synthetic checkpoint there] [--vocab N]
// Layers alternate between linear and full attention. With nvidia-smi the peak of the GPU's memory is sampled as well.
// calibration_reference.py does the same work with transformers on the same folder.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const argv = process.argv.slice(2)
const position = argv.indexOf('--folder')
const kept = position >= 0 ? argv[position + 1] : undefined
const folder = kept ?? join(mkdtempSync(join(tmpdir(), 'quantmill-bench-')), 'source')
const program = join(root, 'out', 'main', 'calibration-bench.js')
const tokenizer = join(root, 'assets', 'sample', 'tiny-qwen3.5-moe')
const options = kept === undefined ? ['--folder', folder] : []

/** MiB in use on the first GPU, undefined without nvidia-smi. */
function usedMiB() {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits']
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8' })
  return status === 0 ? Number(stdout.split('\n')[0]) : undefined
}

const baseMiB = usedMiB()
let peakMiB = baseMiB
const sampler =
  baseMiB === undefined
    ? undefined
    : spawn('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '-lms', '50'])
sampler?.stdout.on('data', (text) => {
  for (const line of String(text).split('\n')) peakMiB = Math.max(peakMiB, Number(line) || 0)
})

try {
  const child = spawn(process.execPath, [program, '--tokenizer', tokenizer, ...argv, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (text) => (output += text))
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`the calibration ended with ${code}`)
  const report = JSON.parse(output)
  const gpuPeakBytes = baseMiB === undefined ? undefined : (peakMiB - baseMiB) * 2 ** 20
  console.log(
    JSON.stringify({ bench: 'calibration', cpu: cpus()[0].model, ...report, gpuPeakBytes }, null, 2),
  )
} finally {
  sampler?.kill()
  if (kept === undefined) rmSync(join(folder, '..'), { recursive: true, force: true })
}

// Throughput of every kernel on one core, as BF16 bytes read per second and as a ratio to memcpy of the same bytes in this process.
// usage: node test/bench/kernels.bench.mjs [--mib 64]
// Bundles the arena's TypeScript in memory and builds the kernels when they are not there. Searches run on 2 MiB.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
await import(new URL('../../scripts/build-kernels.mjs', import.meta.url).href)

const bundle = await build({
  root,
  logLevel: 'error',
  configFile: false,
  build: {
    write: false,
    target: 'node20',
    lib: { entry: join(root, 'main/engine/kernels/wasm/kernel-arena.ts'), formats: ['es'] },
  },
})
const code = [bundle].flat()[0].output[0].code
const { KernelArena } = await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`)

const option = process.argv.indexOf('--mib')
const inputBytes = Number(option === -1 ? 64 : process.argv[option + 1]) * 2 ** 20
const cols = 2048
const rows = inputBytes / 2 / cols
const arena = KernelArena.create(new Uint8Array(readFileSync(join(root, 'out/main/kernels.wasm'))))
arena.reserve(inputBytes, inputBytes)
fillNormal(arena.input(), inputBytes)
const tensorAmax = arena.scanBf16(0, inputBytes / 2).amax

const source = Buffer.alloc(inputBytes, 1)
const copy = Buffer.alloc(inputBytes)
const memcpy = rate(() => source.copy(copy))
console.log(`memcpy            ${gigabytes(memcpy)}   ${inputBytes / 2 ** 20} MiB, one core`)
report('scan bf16', () => arena.scanBf16(0, inputBytes / 2))
const format = (name, blockSize) => ({ format: name, blockSize, inputScale: undefined })
for (const [name, blockSize] of [
  ['fp8'],
  ['fp8_pc_pt'],
  ['fp8_pb_wo'],
  ['int8_wo'],
  ['int4_awq', 128],
  ['nvfp4', 16],
  ['w4a16_nvfp4', 32],
  ['mxfp8', 32],
  ['mxfp4', 32],
]) {
  const needsScan = name === 'fp8' || name.includes('nvfp4')
  const encode = () =>
    arena.encode(
      format(name, blockSize),
      { inputOffsetBytes: 0, rows, cols, tensorAmax },
      { weightOffsetBytes: 0, weightScaleOffsetBytes: inputBytes / 2 },
    )
  report(blockSize === undefined ? name : `${name} ${blockSize}`, encode)
  if (needsScan) {
    report('  with scan', () => {
      arena.scanBf16(0, inputBytes / 2)
      encode()
    })
  }
}

for (const search of ['mse', 'four_over_six']) {
  const part = { inputOffsetBytes: 0, rows: 2 ** 20 / cols, cols, tensorAmax }
  report(
    `static ${search}`,
    () =>
      arena.encode({ ...format('nvfp4_static', 16), search }, part, {
        weightOffsetBytes: 0,
        weightScaleOffsetBytes: inputBytes / 2,
      }),
    2 ** 21,
  )
}

function report(name, run, bytes = inputBytes) {
  const speed = rate(run, bytes)
  console.log(`${name.padEnd(18)}${gigabytes(speed)}   ${(speed / memcpy).toFixed(2)} of memcpy`)
}

/** Bytes of input per second: the median of nine runs after two to warm up. */
function rate(run, bytes = inputBytes) {
  run()
  run()
  const times = Array.from({ length: 9 }, () => {
    const start = performance.now()
    run()
    return performance.now() - start
  }).sort((a, b) => a - b)
  return (bytes / times[4]) * 1000
}

function gigabytes(bytesPerSecond) {
  return `${(bytesPerSecond / 1e9).toFixed(2).padStart(6)} GB/s`
}

/** BF16 values of roughly normal distribution, sigma 0.02, from a fixed generator. */
function fillNormal(bytes, sizeBytes) {
  const view = new Uint16Array(bytes.buffer, bytes.byteOffset, sizeBytes / 2)
  const bits = new Uint32Array(1)
  const value = new Float32Array(bits.buffer)
  let state = 1
  const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const table = Uint16Array.from({ length: 65536 }, () => {
    value[0] = 0.02 * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
    return bits[0] >>> 16
  })
  for (let i = 0; i < view.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    view[i] = table[state >>> 16]
  }
}

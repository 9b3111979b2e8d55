// Condenses the reference forward pass (safetensors and JSON made with transformers, float32) into test/fixtures/calibration: hidden
// states at every 16th position, routing counts and maxima, windows as u16. Usage: node make-forward-fixtures.mjs FORWARD_FOLDER
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const source = process.argv[2]
if (source === undefined) throw new Error('usage: node make-forward-fixtures.mjs FORWARD_FOLDER')
const target = join(dirname(dirname(fileURLToPath(import.meta.url))), 'fixtures', 'calibration')
rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })

/** Every this many positions a hidden state is kept. */
const STEP = 16

function tensors(name) {
  const bytes = readFileSync(join(source, `${name}.safetensors`))
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, start))
  delete header.__metadata__
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        key,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => {
        const data = new Uint8Array(bytes.subarray(start + begin, start + end)).buffer
        return [key, { shape, data: dtype === 'F32' ? new Float32Array(data) : new Int32Array(data) }]
      },
    ),
  )
}

const { input_ids: ids } = tensors('inputs')
writeFileSync(join(target, 'input-ids.u16'), Buffer.from(Uint16Array.from(ids.data).buffer))

const hidden = tensors('hidden')
const states = ['embedding', 'layer0', 'layer1', 'layer2', 'layer3', 'final_norm']
const kept = states.map((name) => {
  const [sequences, time, width] = hidden[name].shape
  const rows = []
  for (let row = 0; row < sequences * time; row += STEP) {
    rows.push(hidden[name].data.subarray(row * width, (row + 1) * width))
  }
  return Float32Array.from(rows.flatMap((row) => [...row]))
})
for (const [index, name] of states.entries()) {
  writeFileSync(join(target, `hidden-${name.replace('_', '-')}.f32`), Buffer.from(kept[index].buffer))
}

const routing = tensors('routing')
const layers = [0, 1, 2, 3].map((layer) => {
  const prefix = `model.language_model.layers.${layer}.mlp.experts`
  const list = (name) => [...routing[`${prefix}.${name}`].data]
  return {
    expertTokens: list('expert_tokens'),
    gateUpInputAmax: list('gate_up_input_amax'),
    downInputAmax: list('down_input_amax'),
    closeDecisions: list('router_margin').filter((margin) => margin < 1e-4).length,
  }
})
const { linear_input_amax: linears, attention_kv_amax: cache } = JSON.parse(
  readFileSync(join(source, 'input_amax.json'), 'utf8'),
)
const reference = { inputShape: ids.shape, hiddenStep: STEP, layers, linears, cache }
writeFileSync(join(target, 'reference.json'), `${JSON.stringify(reference)}\n`)

const windows = tensors('windows')
const quality = JSON.parse(readFileSync(join(source, 'quality.json'), 'utf8')).unquantized
const domains = Object.entries(windows).map(([name, { shape, data }]) => {
  writeFileSync(join(target, `windows-${name}.u16`), Buffer.from(Uint16Array.from(data).buffer))
  return { name, windows: shape[0], time: shape[1], ...quality[name] }
})
writeFileSync(join(target, 'perplexity.json'), `${JSON.stringify(domains)}\n`)

// Condenses the numeric reference set (safetensors files and cases.json made with ModelOpt and numpy) into test/fixtures/numerics:
// inputs as raw BF16, expected tensors as the first 128 bits of their SHA-256. Usage: node make-numeric-fixtures.mjs NUMERICS_FOLDER
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const source = process.argv[2]
if (source === undefined) throw new Error('usage: node make-numeric-fixtures.mjs NUMERICS_FOLDER')
const target = join(dirname(dirname(fileURLToPath(import.meta.url))), 'fixtures', 'numerics')
rmSync(target, { recursive: true, force: true })
mkdirSync(join(target, 'inputs'), { recursive: true })

const opened = new Map()
function tensors(file) {
  let found = opened.get(file)
  if (found === undefined) {
    const bytes = readFileSync(join(source, file))
    const headerBytes = Number(bytes.readBigUInt64LE(0))
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes))
    delete header.__metadata__
    found = new Map(
      Object.entries(header).map(([name, entry]) => [
        name,
        {
          shape: entry.shape,
          bytes: bytes.subarray(
            8 + headerBytes + entry.data_offsets[0],
            8 + headerBytes + entry.data_offsets[1],
          ),
        },
      ]),
    )
    opened.set(file, found)
  }
  return found
}
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 32)
const lines = (items) => `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]\n`

const reference = JSON.parse(readFileSync(join(source, 'cases.json'), 'utf8'))
const inputs = {}
function keepInput(file, name) {
  if (inputs[name] !== undefined) return
  const tensor = tensors(tensors(file).has(name) ? file : 'inputs.safetensors').get(name)
  const fileName = `${name.replaceAll('/', '-')}.bf16`
  writeFileSync(join(target, 'inputs', fileName), tensor.bytes)
  inputs[name] = { fileName, shape: tensor.shape }
}

const staticAmaxes = []
let staticOffset = 0
const cases = { single: [], fused: [], group: [], static: [] }
for (const item of reference.cases) {
  keepInput(item.file, item.input)
  const kept = { format: item.format, input: item.input }
  if (item.rows !== undefined) kept.rows = item.rows
  if (typeof item.amax === 'number') kept.amax = item.amax
  if (item.key === null) {
    cases.fused.push({ ...kept, raises: true })
    continue
  }
  kept.tensors = Object.entries(item.tensors).map(([suffix, { dtype, shape }]) => {
    const expected = {
      suffix,
      dtype,
      shape,
      cuda: hash(tensors(item.file).get(`${item.key}/${suffix}`).bytes),
    }
    const cpu = tensors(item.file).get(`${item.key}/${suffix}@cpu`)
    return cpu === undefined ? expected : { ...expected, cpu: hash(cpu.bytes) }
  })
  if (item.format === 'nvfp4_static') {
    const amaxes = tensors(item.file).get(`${item.key}/block_amax`).bytes
    const globalAmax = tensors(item.file).get(`${item.key}/global_amax`).bytes.readFloatLE(0)
    staticAmaxes.push(amaxes)
    const search = item.key.slice(item.key.indexOf('/') + 1)
    Object.assign(kept, { search, globalAmax, amaxOffset: staticOffset, amaxCount: amaxes.length / 4 })
    Object.assign(kept, { normaliser: item.normaliser, squaredError: item.sum_squared_error })
    staticOffset += amaxes.length / 4
    cases.static.push(kept)
  } else if (item.file.startsWith('fused')) cases.fused.push(kept)
  else if (item.file.startsWith('groups')) cases.group.push({ ...kept, group: item.group })
  else cases.single.push(kept)
}
for (const [name, items] of Object.entries(cases)) writeFileSync(join(target, `${name}.json`), lines(items))
writeFileSync(join(target, 'static-block-amax.f32'), Buffer.concat(staticAmaxes))
writeFileSync(join(target, 'inputs.json'), `${JSON.stringify(inputs, null, 1)}\n`)
writeFileSync(join(target, 'activation-scales.json'), lines(reference.activation_scales_from_amax))

// Function tables: arguments that are exhaustive over BF16 need no storage, only the hash of the results.
const table = (file, names) =>
  Object.fromEntries(names.map((name) => [name, hash(tensors(file).get(name).bytes)]))
writeFileSync(
  join(target, 'tables.json'),
  `${JSON.stringify(
    {
      scaleDivision: table('scale_division.safetensors', [
        'amax',
        ...[448, 2688, 1536, 6, 7, 127].map((divisor) => `div_${divisor}`),
      ]),
      e8m0: table('e8m0.safetensors', ['amax', 'mxfp4', 'mxfp8']),
    },
    null,
    1,
  )}\n`,
)
for (const [file, names] of [
  ['e4m3_cast', ['x', 'e4m3', 'e4m3_saturating', 'decode']],
  ['e2m1', ['x', 'nvfp4', 'mxfp4']],
]) {
  for (const name of names) {
    writeFileSync(join(target, `${file}.${name}.bin`), tensors(`${file}.safetensors`).get(name).bytes)
  }
}

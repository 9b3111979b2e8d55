// Condenses reference exports (one folder per preset with manifest.json and configuration files) to what a plan must equal.
// usage: node test/tools/make-plan-fixtures.mjs <exports folder> test/fixtures/plan
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [from, to] = process.argv.slice(2)
const sha256 = (text) => createHash('sha256').update(text).digest('hex')
mkdirSync(to, { recursive: true })
for (const entry of readdirSync(from, { withFileTypes: true })) {
  if (!entry.isDirectory()) continue
  const read = (name) => readFileSync(join(from, entry.name, name), 'utf8')
  const manifest = JSON.parse(read('manifest.json'))
  const tensors = manifest.tensors_in_file_order
  // One line per tensor in file order; `order` is its position in the state dict.
  const lines = tensors.map(
    ({ shard, name, dtype, shape, order }) => `${shard} ${name} ${dtype} [${shape}] ${order}\n`,
  )
  const fixture = {
    preset: entry.name,
    tensorCount: tensors.length,
    firstTensors: lines.slice(0, 3),
    listingSha256: sha256(lines.join('')),
    shards: manifest.shards.map(({ file, bytes, header_bytes }) => ({
      file,
      bytes,
      headerBytes: header_bytes,
    })),
    hfQuantConfig: read('hf_quant_config.json'),
    quantizationConfig: JSON.parse(read('config.json')).quantization_config,
    indexSha256: sha256(read('model.safetensors.index.json')),
  }
  writeFileSync(join(to, `${entry.name}.json`), `${JSON.stringify(fixture)}\n`)
}

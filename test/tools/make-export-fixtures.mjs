// Condenses a folder of reference exports (one folder per preset with manifest.json, amax.json and configs) into one small JSON per preset.
// usage: node test/tools/make-export-fixtures.mjs <exports folder> test/fixtures/exports
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [from, to] = process.argv.slice(2)
const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex')
mkdirSync(to, { recursive: true })
for (const entry of readdirSync(from, { withFileTypes: true })) {
  if (!entry.isDirectory()) continue
  const file = (name) => join(from, entry.name, name)
  const manifest = JSON.parse(readFileSync(file('manifest.json'), 'utf8'))
  const statistical = manifest.tensors_in_file_order.filter((tensor) => tensor.status === 'statistical')
  const amax = existsSync(file('amax.json')) ? JSON.parse(readFileSync(file('amax.json'), 'utf8')) : undefined
  const fixture = {
    preset: entry.name,
    maxShardSize: manifest.max_shard_size,
    tensorCount: manifest.tensors,
    shards: manifest.shards.map((shard) => ({
      fileName: shard.file,
      sizeBytes: shard.bytes,
      sha256: shard.sha256,
    })),
    statisticalTensors: statistical.length,
    hfQuantConfigSha256: existsSync(file('hf_quant_config.json'))
      ? sha256(file('hf_quant_config.json'))
      : undefined,
    indexSha256: existsSync(file('model.safetensors.index.json'))
      ? sha256(file('model.safetensors.index.json'))
      : undefined,
    quantizationConfig: JSON.parse(readFileSync(file('config.json'), 'utf8')).quantization_config,
    amax: amax && Object.fromEntries(Object.entries(amax).map(([name, { value }]) => [name, value])),
  }
  writeFileSync(join(to, `${entry.name}.json`), `${JSON.stringify(fixture)}\n`)
}

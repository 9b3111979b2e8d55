// Condenses reference exports whose block scales come from a search: exact hashes where bytes are fixed, squared error where they are not.
// usage: node test/tools/make-search-fixtures.mjs <exports folder> test/fixtures/searched-exports
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [from, to] = process.argv.slice(2)
mkdirSync(to, { recursive: true })
for (const entry of readdirSync(from, { withFileTypes: true })) {
  if (!entry.isDirectory()) continue
  const { tensors_in_file_order: tensors } = JSON.parse(
    readFileSync(join(from, entry.name, 'manifest.json'), 'utf8'),
  )
  if (!tensors.some(({ status }) => status === 'statistical')) continue
  const exact = tensors.filter(({ status }) => status !== 'statistical')
  const searched = tensors.filter((tensor) => tensor.sum_squared_error !== undefined)
  const fixture = {
    exact: Object.fromEntries(exact.map(({ name, sha256 }) => [name, sha256.slice(0, 12)])),
    sumSquaredError: Object.fromEntries(
      searched.map((tensor) => [tensor.name, Number(tensor.sum_squared_error.toPrecision(9))]),
    ),
  }
  writeFileSync(join(to, `${entry.name}.json`), `${JSON.stringify(fixture)}\n`)
}

/** Activation maxima of a reference export as a file for `--amax`, so that a test needs no forward pass. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from './temporary-folder.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/exports')

/** Path of an amax JSON made from test/fixtures/exports/<recipe>.json. */
export async function fixtureAmax(recipe: string): Promise<string> {
  const fixture = JSON.parse(await readFile(join(FIXTURES, `${recipe}.json`), 'utf8')) as {
    amax: Record<string, readonly number[]>
  }
  const entries = Object.entries(fixture.amax).map(([name, value]) => [
    name,
    { dtype: 'bfloat16', shape: [], value },
  ])
  const path = join(await temporaryFolder(), 'amax.json')
  await writeFile(path, JSON.stringify(Object.fromEntries(entries)))
  return path
}

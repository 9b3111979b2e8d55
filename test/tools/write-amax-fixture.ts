import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from './temporary-folder.ts'

/** The reference's activation maxima of a recipe as an `--amax` JSON file; undefined when the recipe needs none. */
export async function writeAmaxFixture(recipe: string): Promise<string | undefined> {
  const fixture = join(import.meta.dirname, '../fixtures/exports', `${recipe}.json`)
  const { amax } = JSON.parse(await readFile(fixture, 'utf8')) as { amax?: Record<string, readonly number[]> }
  if (amax === undefined) return undefined
  const path = join(await temporaryFolder(), 'amax.json')
  const dump = Object.entries(amax).map(([name, value]) => [name, { dtype: 'bfloat16', shape: [], value }])
  await writeFile(path, JSON.stringify(Object.fromEntries(dump)))
  return path
}

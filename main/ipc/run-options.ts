/** Run options with a granted recipe file in place of its grant: the renderer may put the id of a `recipe` grant where a recipe name goes. */
import { open } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { grantIdSchema } from '../../shared/contract/schemas.ts'
import type { RunOptions } from '../../shared/domain/run-options.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import type { PathGrants } from '../security/path-grants.ts'

/** Same bound as the text of a recipe in a request. */
const MAX_RECIPE_BYTES = 1_000_000

/** Throws GRANT_UNKNOWN and RECIPE_INVALID (unreadable, too long, not UTF-8). */
export async function runOptionsOf(options: RunOptions, grants: PathGrants): Promise<RunOptions> {
  if (options.recipeText !== undefined || !grantIdSchema.safeParse(options.recipe).success) return options
  const path = await grants.resolve(options.recipe, 'recipe')
  const recipeText = await readRecipe(path, grants.display(path))
  return { ...options, recipe: basename(path, extname(path)), recipeText }
}

async function readRecipe(path: string, subject: string): Promise<string> {
  try {
    const handle = await open(path, 'r')
    try {
      const buffer = new Uint8Array(MAX_RECIPE_BYTES + 1)
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
      if (bytesRead > MAX_RECIPE_BYTES)
        throw new RangeError(`it is longer than ${String(MAX_RECIPE_BYTES)} bytes`)
      return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, bytesRead))
    } finally {
      await handle.close()
    }
  } catch (error: unknown) {
    const problem = error instanceof Error ? error.message : String(error)
    throw new AppError('RECIPE_INVALID', {
      subject,
      problem,
      remedy: 'choose a recipe file in YAML',
      cause: error,
    })
  }
}

/**
 * A run killed at a random moment and continued gives the bytes of an undisturbed one. QUANTMILL_KILLS runs (default 4) with QUANTMILL_SEED;
 * by hand `npm run kill-test -- --kills 60 --seed 1`.
 * A journal that vouches for bytes that are not there, or a seal that cannot be repeated, would show here.
 */
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runAndKill } from '../../tools/kill-run.ts'
import { hashExport } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const KILLS = Number(process.env['QUANTMILL_KILLS'] ?? 4)
const SEED = Number(process.env['QUANTMILL_SEED'] ?? 1)
const RECIPES = [
  'nvfp4_experts_only_input_scale1-kv_fp8_cast',
  'fp8_default-kv_fp8',
  'nvfp4_default-kv_fp8',
  'mxfp8-kv_fp8_cast',
  'nvfp4_experts_only-kv_fp8',
  'int4_awq',
]
/** A whole run of the sample takes about this long here; kills fall anywhere in it. */
const RUN_MS = 1200

function random(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

async function fingerprint(out: string): Promise<Record<string, string>> {
  const receipt = await readFile(join(out, 'quantmill/receipt.json'), 'utf8')
  const tensors = (JSON.parse(receipt) as { tensors: Record<string, string> }).tensors
  return { ...(await hashExport(out)), ...tensors }
}

describe(`killed and continued, seed ${String(SEED)}`, () => {
  const undisturbed = new Map<string, Record<string, string>>()
  const argvOf = (recipe: string, out: string, workers: number): string[] => [
    ...['run', SAMPLE, '--recipe', recipe, '--out', out, '--workers', String(workers), '--resume'],
    ...['--samples', '4', '--seq-len', '128', '--device', 'cpu', '--max-shard-size', '4MB'],
  ]

  test.each(Array.from({ length: KILLS }, (_, index) => index))('run %i', async (index) => {
    const next = random(SEED * 1000 + index)
    const recipe = RECIPES[index % RECIPES.length] ?? ''
    const workers = index % 2 === 0 ? 1 : 3
    if (!undisturbed.has(recipe)) {
      const out = join(await temporaryFolder(), 'undisturbed')
      expect(await runAndKill(argvOf(recipe, out, workers), undefined)).toMatchObject({
        kind: 'ended',
        exitCode: 0,
      })
      undisturbed.set(recipe, await fingerprint(out))
    }
    const folder = await temporaryFolder()
    const out = join(folder, 'export')
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const end = await runAndKill(argvOf(recipe, out, workers), 100 + next() * RUN_MS)
      if (end.kind === 'ended') break
      expect(existsSync(out) && existsSync(`${out}.partial`)).toBe(false)
    }
    if (!existsSync(out)) {
      expect(await runAndKill(argvOf(recipe, out, workers), undefined)).toMatchObject({
        kind: 'ended',
        exitCode: 0,
      })
    }
    expect(await fingerprint(out)).toEqual(undisturbed.get(recipe))
    expect(await readdir(folder)).toEqual(['export'])
  })
})

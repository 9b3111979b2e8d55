/**
 * Recipes that do not fit their checkpoint, and weights that a format cannot scale, from the command line: refused in one line before the
 * first byte is written where headers tell, otherwise the fallback is in the report. And how much data a recipe file may ask for.
 */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { writeSampleCheckpoint } from '../../../main/engine/io/node/write-sample-checkpoint.ts'
import type { PlanSummary } from '../../../shared/domain/plan-summary.ts'
import { runCli } from '../../tools/cli.ts'
import { readExport, writeShard } from '../../tools/read-export.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const L = 'model.layers.0'
let folder = ''
let checkpoint = ''

/** One linear-attention layer, 48 wide, three experts of 80: multiples of 16 but not of 32. */
beforeAll(async () => {
  folder = await temporaryFolder()
  checkpoint = join(folder, 'checkpoint')
  const numbers = {
    hiddenSize: 48,
    expertWidth: 80,
    sharedExpertWidth: 16,
    expertCount: 3,
    topK: 2,
    vocabSize: 64,
    linearKeyHeadCount: 1,
    linearValueHeadCount: 2,
    linearHeadDim: 16,
  }
  const layout = { expertLayout: 'per_expert', prefix: 'flat', mtpLayout: 'none', hasHead: false } as const
  await writeSampleCheckpoint({
    shape: 'tiny',
    folder: checkpoint,
    layerCount: 1,
    seed: 3,
    numbers,
    ...layout,
  })
})

async function recipeFile(text: string): Promise<string> {
  const path = join(await temporaryFolder(), 'mine.yaml')
  await writeFile(path, text)
  return path
}

describe('refused before the first byte', () => {
  test.each([
    ['rows that blocks do not divide', 'mxfp4_mlp_weight_only', 'BLOCK_SIZE_UNSUPPORTED', `${L}.mlp.experts`],
    [
      'a group that engines fuse, in two formats',
      "quant_cfg: [{quantizer_name: '*in_proj_qkv.weight_quantizer', cfg: fp8}]\n",
      'RECIPE_GROUP_MIXED',
      `${L}.linear_attn.in_proj_z`,
    ],
    [
      'a pattern that matches nothing',
      "quant_cfg: [{quantizer_name: '*q_porj.weight_quantizer', cfg: fp8}]\n",
      'RECIPE_PATTERN_UNMATCHED',
      '*q_porj.weight_quantizer',
    ],
    [
      'a recipe for layers that the model has not',
      'fp8_attention_only',
      'RECIPE_PATTERN_UNMATCHED',
      'fp8_attention_only',
    ],
  ])('%s', async (_, recipe, code, subject) => {
    const given = recipe.includes('\n') ? await recipeFile(recipe) : recipe
    const parent = await temporaryFolder()
    for (const command of [['plan'], ['run', '--out', join(parent, 'out')]]) {
      const [name = '', ...options] = command
      const { exitCode, stderr } = await runCli([name, checkpoint, '--recipe', given, ...options])
      const errors = stderr.split('\n').filter((line) => line.startsWith('error '))
      expect([exitCode, errors.length]).toEqual([2, 1])
      expect(errors[0]).toContain(`error ${code}`)
      expect(errors[0]).toContain(subject)
    }
    expect(await readdir(parent)).toEqual([])
  })

  test('a KV cache format for a model without a KV cache', async () => {
    const options = ['--recipe', 'w4a16_nvfp4', '--kv', 'fp8_cast']
    const { exitCode, stderr } = await runCli(['plan', checkpoint, ...options])
    expect([exitCode, stderr.includes('error RECIPE_PATTERN_UNMATCHED: --kv fp8_cast')]).toEqual([2, true])
  })
})

describe('an all-zero expert', () => {
  const name = `${L}.mlp.experts.1.down_proj.weight`
  let zeroed = ''
  beforeAll(async () => {
    zeroed = join(await temporaryFolder(), 'zeroed')
    const { cp } = await import('node:fs/promises')
    await cp(checkpoint, zeroed, { recursive: true })
    const tensors = await readExport(zeroed)
    const tensor = tensors.get(name)
    if (tensor === undefined) throw new Error(`${name} is not in the checkpoint`)
    await writeShard(
      zeroed,
      new Map(tensors).set(name, { ...tensor, bytes: Buffer.alloc(tensor.bytes.length) }),
    )
  })

  test.each([
    ['hardened', 0, 'repaired'],
    ['identical', 1, 'quality SCALE_NOT_FINITE'],
  ] as const)('%s: exit code %i, said in the report', async (profile, exitCode, word) => {
    const out = join(await temporaryFolder(), 'out')
    const argv = ['run', zeroed, '--recipe', 'w4a16_nvfp4', '--profile', profile, '--out', out]
    const result = await runCli(argv)
    expect(result.exitCode).toBe(exitCode)
    expect(result.stdout).toContain(`${word}: ${name}: all weights are zero`)
    const verified = await runCli(['verify', out, '--source', zeroed])
    expect(verified.exitCode).toBe(exitCode)
  })
})

describe('how much data: option, then recipe, then default', () => {
  const TEXT = `calibration: {data: tokens.jsonl, samples: 3, sequence_length: 40}
quant_cfg: [{quantizer_name: '*.experts.*', cfg: fp8}]
`
  test.each([
    ['of the recipe', [], [3, 40]],
    ['of the command line', ['--samples', '5'], [5, 40]],
    ['of both', ['--samples', '5', '--seq-len', '16'], [5, 16]],
  ] as const)('%s', async (_, options, [samples, sequenceLength]) => {
    const recipe = await recipeFile(TEXT)
    const { stdout } = await runCli(['plan', checkpoint, '--recipe', recipe, '--json', ...options])
    expect((JSON.parse(stdout) as PlanSummary).calibration).toEqual({ samples, sequenceLength })
  })

  test('the defaults', async () => {
    const { stdout } = await runCli(['plan', checkpoint, '--recipe', 'fp8'])
    expect(stdout).toContain('from 128 sequences of 512 tokens')
  })

  test('the data file is looked for beside the recipe, unless --calib says otherwise', async () => {
    const recipe = await recipeFile(TEXT)
    const parent = await temporaryFolder()
    const argv = ['run', checkpoint, '--recipe', recipe, '--out', join(parent, 'out')]
    const { exitCode, stderr } = await runCli(argv)
    expect([exitCode, stderr.includes(join(recipe, '..', 'tokens.jsonl'))]).toEqual([2, true])
    const builtin = await runCli([...argv, '--calib', 'builtin'])
    expect(builtin.stderr).toContain('error TOKENIZER_MISSING')
  })
})

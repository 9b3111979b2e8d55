/**
 * Bad input through the command line: exit code 2, one line with code, subject and remedy, and nothing left on disk. A crash, a half-written
 * export or an error that names no file would fail here.
 */
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runCli } from '../../tools/cli.ts'
import {
  changeHeader,
  changeJson,
  copySample,
  cutFile,
  poke,
  writeHeaderLength,
} from '../../tools/damaged-checkpoint.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const SHARD_1 = 'model.safetensors-00001-of-00004.safetensors'
const SHARD_2 = 'model.safetensors-00002-of-00004.safetensors'
const DATA_FREE = 'nvfp4_experts_only_input_scale1-kv_fp8_cast'
const CALIBRATED = 'nvfp4_experts_only-kv_fp8'
const EXPERTS = 'model.language_model.layers.1.mlp.experts.gate_up_proj'

interface BadInput {
  readonly name: string
  readonly code: string
  /** Text that the error line must contain besides the code. */
  readonly subject: string
  readonly prepare: () => Promise<{ checkpoint: string; out?: string; recipe?: string; options?: string[] }>
}

const damaged = async (
  file: string,
  damage: (path: string) => Promise<void>,
): Promise<{ checkpoint: string }> => {
  const checkpoint = await copySample([file])
  await damage(join(checkpoint, file))
  return { checkpoint }
}

const shardOf = async (tensor: string): Promise<string> => {
  const { readFile } = await import('node:fs/promises')
  const index = JSON.parse(await readFile(join(SAMPLE, 'model.safetensors.index.json'), 'utf8')) as {
    weight_map: Record<string, string>
  }
  return index.weight_map[tensor] ?? ''
}

const CASES: readonly BadInput[] = [
  {
    name: 'missing shard',
    code: 'SHARD_MISSING',
    subject: SHARD_2,
    prepare: () => damaged(SHARD_2, (path) => rm(path)),
  },
  {
    name: 'truncated shard',
    code: 'SAFETENSORS_TRUNCATED',
    subject: SHARD_2,
    prepare: () => damaged(SHARD_2, (path) => cutFile(path, 1000)),
  },
  {
    name: 'header longer than the file',
    code: 'SAFETENSORS_',
    subject: SHARD_1,
    prepare: () => damaged(SHARD_1, (path) => writeHeaderLength(path, 50_000_000n)),
  },
  {
    name: 'overlapping offsets',
    code: 'TENSOR_OUT_OF_BOUNDS',
    subject: SHARD_1,
    prepare: () =>
      damaged(SHARD_1, (path) =>
        changeHeader(path, (header) => {
          const [first, second] = Object.keys(header).filter((name) => name !== '__metadata__')
          const [a, b] = [header[first ?? '']?.data_offsets, header[second ?? '']?.data_offsets]
          if (a !== undefined && b !== undefined)
            b.splice(0, 2, (a[0] ?? 0) + 2, (a[0] ?? 0) + 2 + (b[1] ?? 0) - (b[0] ?? 0))
        }),
      ),
  },
  {
    name: 'negative offset',
    code: 'SAFETENSORS_HEADER_INVALID',
    subject: SHARD_1,
    prepare: () =>
      damaged(SHARD_1, (path) =>
        changeHeader(path, (header) => {
          const first = Object.keys(header).find((name) => name !== '__metadata__') ?? ''
          header[first]?.data_offsets.splice(0, 1, -2)
        }),
      ),
  },
  {
    name: 'NaN weight',
    code: 'WEIGHT_NOT_FINITE',
    subject: EXPERTS,
    prepare: async () => damaged(await shardOf(EXPERTS), (path) => poke(path, EXPERTS, 70_001, 0x7fc0)),
  },
  {
    name: 'infinite weight',
    code: 'WEIGHT_NOT_FINITE',
    subject: 'lm_head.weight',
    prepare: async () =>
      damaged(await shardOf('lm_head.weight'), (path) => poke(path, 'lm_head.weight', 5, 0xff80)),
  },
  {
    name: 'unknown architecture',
    code: 'ARCHITECTURE_UNSUPPORTED',
    subject: 'MixtralForCausalLM',
    prepare: () =>
      damaged('config.json', (path) =>
        changeJson(path, (json) =>
          Object.assign(json, { architectures: ['MixtralForCausalLM'], model_type: 'mixtral' }),
        ),
      ),
  },
  {
    name: 'dense look-alike',
    code: 'ARCHITECTURE_UNSUPPORTED',
    subject: 'dense',
    prepare: () =>
      damaged('config.json', (path) =>
        changeJson(path, (json) =>
          Object.assign(json, { architectures: ['Qwen3_5ForConditionalGeneration'], model_type: 'qwen3_5' }),
        ),
      ),
  },
  {
    name: 'qwen4_exp look-alike',
    code: 'ARCHITECTURE_UNSUPPORTED',
    subject: 'qwen4_exp',
    prepare: () =>
      damaged('config.json', (path) =>
        changeJson(path, (json) =>
          Object.assign(json, {
            architectures: ['Qwen4ExpForConditionalGeneration'],
            model_type: 'qwen4_exp',
          }),
        ),
      ),
  },
  {
    name: 'tokenizer absent',
    code: 'TOKENIZER_MISSING',
    subject: 'tokenizer.json',
    prepare: async () => ({
      ...(await damaged('tokenizer.json', (path) => rm(path))),
      recipe: 'nvfp4_experts_only-kv_fp8',
    }),
  },
  {
    name: 'output folder not empty',
    code: 'OUTPUT_NOT_EMPTY',
    subject: 'full',
    prepare: async () => {
      const out = join(await temporaryFolder(), 'full')
      await mkdir(out)
      await writeFile(join(out, 'precious.txt'), 'kept')
      return { checkpoint: SAMPLE, out }
    },
  },
  {
    name: 'recipe unknown',
    code: 'RECIPE_UNKNOWN',
    subject: 'nvfp5_default',
    prepare: () => Promise.resolve({ checkpoint: SAMPLE, recipe: 'nvfp5_default' }),
  },
  {
    name: 'recipe invalid',
    code: 'RECIPE_INVALID',
    subject: 'broken.yaml',
    prepare: async () => {
      const recipe = join(await temporaryFolder(), 'broken.yaml')
      await writeFile(recipe, 'quantize:\n  quant_cfg: 7\n  no_such_key: true\n')
      return { checkpoint: SAMPLE, recipe }
    },
  },
  {
    name: 'checkpoint inside the output',
    code: 'SOURCE_INSIDE_OUTPUT',
    subject: 'checkpoint',
    prepare: async () => {
      const checkpoint = await copySample()
      return { checkpoint, out: dirname(checkpoint) }
    },
  },
  {
    name: 'no such checkpoint',
    code: 'CHECKPOINT_NOT_FOUND',
    subject: 'nowhere',
    prepare: async () => ({ checkpoint: join(await temporaryFolder(), 'nowhere') }),
  },
  {
    name: 'no such data file',
    code: 'CALIBRATION_DATA_INVALID',
    subject: 'nowhere.jsonl: there is no such file',
    prepare: () =>
      Promise.resolve({ checkpoint: SAMPLE, recipe: CALIBRATED, options: ['--calib', 'nowhere.jsonl'] }),
  },
  {
    name: 'no such dump',
    code: 'AMAX_INVALID',
    subject: 'nowhere.json: there is no such file',
    prepare: () =>
      Promise.resolve({ checkpoint: SAMPLE, recipe: CALIBRATED, options: ['--amax', 'nowhere.json'] }),
  },
  {
    name: 'a folder as dump',
    code: 'AMAX_INVALID',
    subject: 'this is a folder, not a file',
    prepare: () => Promise.resolve({ checkpoint: SAMPLE, recipe: CALIBRATED, options: ['--amax', SAMPLE] }),
  },
  {
    name: 'unknown option',
    code: 'USAGE',
    subject: '--speed',
    prepare: () => Promise.resolve({ checkpoint: SAMPLE, options: ['--speed', '11'] }),
  },
]

describe('bad input', () => {
  test.each(CASES)('$name', async ({ code, subject, prepare }) => {
    const { checkpoint, recipe = DATA_FREE, options = [], ...rest } = await prepare()
    const out = rest.out ?? join(await temporaryFolder(), 'export')
    const isFreshOutput = rest.out === undefined
    const result = await runCli([
      'run',
      checkpoint,
      '--recipe',
      recipe,
      '--out',
      out,
      '--workers',
      '1',
      '--samples',
      '1',
      ...options,
    ])
    const lines = result.stderr.split('\n').filter((line) => line.startsWith('error '))
    expect(result.stderr).toContain(`error ${code}`)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(subject)
    expect(result.exitCode).toBe(2)
    expect(result.stdout).toBe('')
    expect(existsSync(`${out}.partial`)).toBe(false)
    expect(existsSync(out)).toBe(!isFreshOutput)
  })
})

describe('names of files and folders that do not exist', () => {
  test.each([
    ['eval', [SAMPLE, '--data', 'nowhere.txt'], 'CALIBRATION_DATA_INVALID: '],
    ['partials', ['nowhere'], 'USAGE: '],
    ['verify', [SAMPLE, '--source', 'nowhere'], 'CHECKPOINT_NOT_FOUND: '],
  ])('%s %j', async (command, options, beginning) => {
    const result = await runCli([command, ...options])
    expect(result.stderr).toContain(`error ${beginning}`)
    expect(result.stderr).toContain('nowhere')
    expect(result.exitCode).toBe(2)
  })
})

/**
 * Exports that must verify: every kind of format in both profiles and dialects, against the source. The `identical` profile has ModelOpt's
 * bytes, so this also says which rules ModelOpt's own exports break by design.
 */
import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import { verifyText } from '../../../main/engine/verify/verify-text.ts'
import type { VerifyFinding, VerifyReport } from '../../../shared/domain/verify-report.ts'
import { copySample } from '../../tools/damaged-checkpoint.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

async function referenceAmax(recipe: string): Promise<string | undefined> {
  const path = join(import.meta.dirname, `../../fixtures/exports/${recipe}.json`)
  const { amax } = JSON.parse(readFileSync(path, 'utf8')) as { amax?: Record<string, readonly number[]> }
  if (amax === undefined) return undefined
  const dump = Object.entries(amax).map(([name, value]) => [name, { dtype: 'bfloat16', shape: [], value }])
  const target = join(await temporaryFolder(), 'amax.json')
  await writeFile(target, JSON.stringify(Object.fromEntries(dump)))
  return target
}

async function verify(outputPath: string, source = SAMPLE): Promise<VerifyReport> {
  return verifyExport(new NodeCheckpointFolder(outputPath), { source: new NodeCheckpointFolder(source) })
}

/** Findings other than notes. */
function problems({ findings }: VerifyReport): readonly VerifyFinding[] {
  return findings.filter(({ severity }) => severity !== 'info')
}

/** Most ranks among which every matrix can be divided: experts of the sample are 128 wide, so 8 ranks leave 16 columns. */
function mostRanks({ tensorParallel }: VerifyReport): number {
  return Math.max(...tensorParallel.filter(({ isDivisible }) => isDivisible).map(({ size }) => size))
}

/** Relative errors of Gaussian-like weights: about 2.7 % for E4M3, 0.7 % for INT8 by rows, 8 to 12 % for four bits. */
const MODELOPT = [
  ['fp8_default-kv_fp8', 'FP8', 0.02, 0.03, 8],
  ['fp8_2d_blockwise_weight_only', 'FP8_PB_WO', 0.02, 0.03, 1],
  ['int8', 'W8A8_SQ_PER_CHANNEL', 0.004, 0.01, 8],
  ['mxfp8-kv_fp8_cast', 'MXFP8', 0.02, 0.03, 4],
  ['mxfp4', 'MXFP4', 0.1, 0.13, 4],
  ['nvfp4_mlp_weight_only', 'W4A16_NVFP4', 0.09, 0.12, 4],
  ['nvfp4_four_over_six', 'NVFP4', 0.07, 0.095, 8],
  ['w4a8_nvfp4_fp8', 'W4A8_NVFP4_FP8', 0.09, 0.12, 4],
  ['qwen3_5_moe-w4a16_nvfp4_mse-fp8_attn-kv_fp8_cast', 'MIXED_PRECISION', 0.02, 0.09, 8],
] as const

describe("ModelOpt's bytes", () => {
  test.each(MODELOPT)('%s breaks no rule', async (recipe, algorithm, least, most, ranks) => {
    const { outputPath } = await runForTest({
      options: { recipe, profile: 'identical', maxShardSizeBytes: 4_000_000 },
      amaxPath: await referenceAmax(recipe),
    })
    const report = await verify(outputPath)
    expect(problems(report)).toEqual([])
    expect(mostRanks(report)).toBe(ranks)
    expect(report).toMatchObject({ isSound: true, dialect: 'modelopt', algorithm })
    expect(report.comparedMatrixCount).toBe(report.quantizedMatrixCount)
    for (const { relativeError, largestShareOfBound } of report.errors) {
      expect(largestShareOfBound).toBeLessThanOrEqual(1)
      expect(relativeError).toBeGreaterThan(least)
      expect(relativeError).toBeLessThan(most)
    }
  })

  test('an all-zero expert breaks two rules by design, and none in the hardened profile', async () => {
    const checkpoint = await copySample(['model.safetensors-00001-of-00004.safetensors'])
    const zeroed = await zeroExpert(join(checkpoint, 'model.safetensors-00001-of-00004.safetensors'))
    const recipe = 'nvfp4_experts_only_input_scale1-kv_fp8_cast'
    const broken: Record<string, readonly string[]> = {}
    for (const profile of ['identical', 'hardened'] as const) {
      const { outputPath } = await runForTest({ checkpointPath: checkpoint, options: { recipe, profile } })
      const report = await verify(outputPath, checkpoint)
      broken[profile] = [...new Set(report.findings.map(({ rule }) => rule))]
      for (const { subject } of report.findings) expect(subject).toContain(`${zeroed}.0.`)
    }
    // Block scales 0x7F and a tensor scale of 0.
    expect(broken).toEqual({ identical: ['scale.nan', 'scale.positive'], hardened: [] })
  })
})

/** Sets the gate and up rows of expert 0 of the first fused tensor in a shard to zero; returns the module of the experts. */
async function zeroExpert(path: string): Promise<string> {
  const bytes = await readFile(path)
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString('utf8')) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >
  const found = Object.entries(header).find(([name]) => /language_model.*experts\.gate_up_proj$/.test(name))
  if (found === undefined) throw new Error('no fused experts in this shard')
  const [name, { shape, data_offsets }] = found
  const size = (data_offsets[1] - data_offsets[0]) / (shape[0] ?? 1)
  const begin = 8 + length + data_offsets[0]
  await writeFile(path, bytes.fill(0, begin, begin + size))
  return name.replace(/\.gate_up_proj$/, '')
}

const COMPRESSED = [
  ['nvfp4_experts_only_input_scale1-kv_fp8_cast', 'nvfp4-pack-quantized', 384],
  ['int4_blockwise_weight_only', 'pack-quantized', 409],
  ['int8_weight_only', 'pack-quantized', 409],
  ['mxfp4', 'mxfp4-pack-quantized', 409],
  ['mxfp8-kv_fp8_cast', 'mxfp8-quantized', 409],
  ['fp8_2d_blockwise_weight_only', 'float-quantized', 409],
] as const

describe('compressed-tensors', () => {
  test.each(COMPRESSED)('%s breaks no rule', async (recipe, algorithm, matrixCount) => {
    const { outputPath } = await runForTest({ options: { recipe, dialect: 'compressed-tensors' } })
    const report = await verify(outputPath)
    expect(problems(report)).toEqual([])
    expect(report).toMatchObject({
      isSound: true,
      dialect: 'compressed-tensors',
      algorithm,
      quantizedMatrixCount: matrixCount,
      comparedMatrixCount: matrixCount,
    })
  })
})

test('the text names verdict, engines, ranks and errors', async () => {
  const recipe = 'nvfp4_experts_only_input_scale1-kv_fp8_cast'
  const { outputPath } = await runForTest({ options: { recipe } })
  const text = verifyText(await verify(outputPath))
  for (const part of [
    'sound: no rule is broken',
    'modelopt, NVFP4, KV cache fp8',
    '384 quantized matrices',
    /vllm +loads +vllm\.accepted/,
    /8 +divisible/,
    /NVFP4: 384 matrices, relative error 0\.095/,
  ]) {
    expect(text).toMatch(part)
  }
})

/**
 * Recipes that search block scales. A GPU search breaks near-ties its own way, so blocks may differ where two candidates are equally good;
 * the error they leave must not, and everything else is byte-identical.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../../main/engine/checkpoint/open-checkpoint.ts'
import type { TensorSlice } from '../../../main/engine/checkpoint/checkpoint.ts'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { decodeMatrix } from '../../../main/engine/quant/decode-matrix.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { writeAmaxFixture } from '../../tools/write-amax-fixture.ts'

interface SearchedFixture {
  readonly exact: Readonly<Record<string, string>>
  readonly sumSquaredError: Readonly<Record<string, number>>
}

const FOLDER = join(import.meta.dirname, '../../fixtures')
/** Of the oracle: relative to its squared error. */
const TOLERANCE = 1e-4

class Tensors {
  private readonly folder: NodeCheckpointFolder
  private readonly slices: ReadonlyMap<string, TensorSlice>
  private readonly files: readonly string[]

  private constructor(
    folder: NodeCheckpointFolder,
    slices: ReadonlyMap<string, TensorSlice>,
    files: readonly string[],
  ) {
    this.folder = folder
    this.slices = slices
    this.files = files
  }

  static async open(path: string): Promise<Tensors> {
    const folder = new NodeCheckpointFolder(path)
    const { tensors, shards } = await openCheckpoint(folder)
    return new Tensors(
      folder,
      tensors,
      shards.map(({ fileName }) => fileName),
    )
  }

  async bytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const slice = this.slices.get(name)
    if (slice === undefined) throw new Error(`no ${name}`)
    return this.folder.readRange(this.files[slice.shardIndex] ?? '', slice.offsetBytes, slice.sizeBytes)
  }

  /** f32 values of the source weight behind an exported one; experts are cut from the fused tensors. */
  async sourceWeight(name: string): Promise<Float32Array> {
    const expert = /^(.*\.experts)\.(\d+)\.(gate|up|down)_proj\.weight$/.exec(name)
    if (expert === null) return widen(await this.bytes(name))
    const [, module = '', index = '0', projection] = expert
    const values = widen(
      await this.bytes(`${module}.${projection === 'down' ? 'down_proj' : 'gate_up_proj'}`),
    )
    const size = values.length / 32
    const own = values.subarray(Number(index) * size, (Number(index) + 1) * size)
    if (projection === 'down') return own
    return projection === 'gate' ? own.subarray(0, size / 2) : own.subarray(size / 2)
  }
}

function widen(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const bits = new Uint32Array(bytes.length / 2)
  for (let index = 0; index < bits.length; index += 1) bits[index] = view.getUint16(2 * index, true) << 16
  return new Float32Array(bits.buffer)
}

describe('searched block scales', () => {
  test.each(['nvfp4_four_over_six', 'qwen3_5_moe-w4a16_nvfp4_mse-fp8_attn-kv_fp8_cast'])(
    '%s',
    async (recipe) => {
      const fixture = JSON.parse(
        await readFile(join(FOLDER, 'searched-exports', `${recipe}.json`), 'utf8'),
      ) as SearchedFixture
      const { outputPath } = await runForTest({
        options: { recipe, profile: 'identical', maxShardSizeBytes: 4_000_000 },
        amaxPath: await writeAmaxFixture(recipe),
      })
      const receipt = JSON.parse(await readFile(join(outputPath, 'quantmill/receipt.json'), 'utf8')) as {
        tensors: Record<string, string>
      }
      const found = Object.keys(fixture.exact).map((name) => [name, receipt.tensors[name]?.slice(0, 12)])
      expect(Object.fromEntries(found)).toEqual(fixture.exact)
      const output = await Tensors.open(outputPath)
      const source = await Tensors.open(SAMPLE)
      const worse: string[] = []
      for (const [name, expected] of Object.entries(fixture.sumSquaredError)) {
        const weights = await source.sourceWeight(name)
        const codes = await output.bytes(name)
        const scales = await output.bytes(`${name}_scale`)
        const cols = (codes.length * 2 * 16) / (scales.length * 16) === 16 ? 16 : 0
        const weightScale2 = new Float32Array((await output.bytes(`${name}_scale_2`)).buffer)[0]
        const stored = {
          rows: weights.length / 16,
          cols: 16,
          weight: codes,
          weightScale: scales,
          weightScale2,
        }
        expect(cols).toBe(16)
        const decoded = decodeMatrix({ format: 'nvfp4', blockSize: 16, inputScale: undefined }, stored)
        let error = 0
        for (let index = 0; index < weights.length; index += 1)
          error += (weights[index] - decoded[index]) ** 2
        if (Math.abs(error - expected) > TOLERANCE * expected)
          worse.push(`${name}: ${String(error)} instead of ${String(expected)}`)
      }
      expect(worse).toEqual([])
      expect(Object.keys(fixture.sumSquaredError).length).toBeGreaterThan(300)
    },
  )
})

/** The same model in another layout is the same model: experts fused or not, prefix nested or flat, one file or many. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { relayoutSample } from '../../tools/relayout.ts'
import { runForTest } from '../../tools/run-for-test.ts'

const OPTIONS = { recipe: 'nvfp4_experts_only_input_scale1-kv_fp8_cast', profile: 'identical' as const }

interface Receipt {
  readonly tensors: Readonly<Record<string, string>>
}

async function tensorHashes(outputPath: string): Promise<Receipt['tensors']> {
  return (JSON.parse(await readFile(join(outputPath, 'quantmill/receipt.json'), 'utf8')) as Receipt).tensors
}

const isTrunk = (name: string): boolean => !name.startsWith('mtp.') && !name.startsWith('model.visual.')
const trunkOf = (hashes: Receipt['tensors']): [string, string][] =>
  Object.entries(hashes)
    .filter(([name]) => isTrunk(name))
    .map(([name, hash]): [string, string] => [name.replace('model.language_model.', 'model.'), hash])
    .sort(([a], [b]) => (a < b ? -1 : 1))

describe('source layouts', () => {
  let expected: [string, string][] = []
  beforeAll(async () => {
    expected = trunkOf(await tensorHashes((await runForTest({ options: OPTIONS })).outputPath))
    expect(expected.length).toBeGreaterThan(1000)
  })

  test.each([
    { experts: 'per_expert', prefix: 'model.language_model', shards: 3 },
    { experts: 'fused', prefix: 'model', shards: 2 },
    { experts: 'per_expert', prefix: 'model', shards: 1 },
  ] as const)('$experts, $prefix, $shards shard(s)', async (layout) => {
    const checkpointPath = await relayoutSample(layout)
    const { outputPath } = await runForTest({ checkpointPath, options: OPTIONS })
    expect(trunkOf(await tensorHashes(outputPath))).toEqual(expected)
  })
})

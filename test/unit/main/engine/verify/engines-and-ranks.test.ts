/** Rule tables and arithmetic of ranks: an id used twice, a verdict by the wrong rule or a cut block would fail here. */
import { describe, expect, test } from 'vitest'
import { judgeEngines, type EngineFacts } from '../../../../../main/engine/verify/judge-engines.ts'
import { ENGINE_RULES } from '../../../../../main/engine/verify/rules/engine-rules.ts'
import { EXPORT_RULES } from '../../../../../main/engine/verify/rules/export-rules.ts'
import { moduleFormat } from '../../../../../main/engine/verify/stored-format.ts'
import { obstacle } from '../../../../../main/engine/verify/tensor-parallel.ts'

const EXPERTS = 'model.language_model.layers.0.mlp.experts'
const FACTS: EngineFacts = {
  dialect: 'modelopt',
  modules: [{ name: EXPERTS, kind: 'experts', format: moduleFormat('nvfp4', 16) }],
  kvCache: 'fp8',
  isMixed: false,
  hasSeveralBlockSizes: false,
  lacksInputScales: false,
  hasTopLevelGroupSize: true,
  listsFusedNames: true,
  hasLegacyFile: true,
  broken: new Map(),
}
const decided = (facts: Partial<EngineFacts>): readonly (string | undefined)[] =>
  judgeEngines({ ...FACTS, ...facts }).map(({ rule }) => rule)

describe('rule tables', () => {
  test('ids are unique and carry the engine; every rule has an origin', () => {
    const ids = ENGINE_RULES.flatMap(({ engine, rules, otherwise }) =>
      [...rules, otherwise].map(({ id }) => {
        expect(id.startsWith(`${engine}.`), id).toBe(true)
        return id
      }),
    )
    expect(new Set(ids).size).toBe(ids.length)
    for (const { origin } of Object.values(EXPORT_RULES)) expect(origin.length).toBeGreaterThan(10)
  })
})

describe('verdicts', () => {
  test.each<[string, Partial<EngineFacts>, readonly string[]]>([
    ['nothing wrong', {}, ['vllm.accepted', 'sglang.nvfp4', 'trtllm.known']],
    ['no second file', { hasLegacyFile: false }, ['vllm.accepted', 'sglang.nvfp4', 'trtllm.legacy-file']],
    [
      'an expert without input scale',
      { lacksInputScales: true },
      ['vllm.input-scales', 'sglang.input-scales', 'trtllm.input-scales'],
    ],
    [
      'compressed-tensors',
      { dialect: 'compressed-tensors', hasLegacyFile: false },
      ['vllm.accepted', 'sglang.compressed-tensors', 'trtllm.compressed-tensors'],
    ],
    [
      'a broken name',
      { broken: new Map([['names.exact', 'x.weight']]) },
      ['vllm.names', 'sglang.names', 'trtllm.names'],
    ],
    [
      'NaN scales',
      { broken: new Map([['scale.nan', 'x.weight_scale']]) },
      ['vllm.scale-values', 'sglang.scale-values', 'trtllm.scale-values'],
    ],
  ])('%s', (_, facts, expected) => {
    expect(decided(facts)).toEqual(expected)
  })

  test('the subject of a broken rule is in the reason, whatever characters it has', () => {
    const [vllm] = judgeEngines({ ...FACTS, broken: new Map([['names.exact', "$& $' {module}"]]) })
    expect(vllm?.subject).toBe("$& $' {module}")
    expect(vllm?.reason).toContain('$& $')
  })
})

describe('tensor-parallel ranks', () => {
  const nvfp4 = { format: moduleFormat('nvfp4', 16), packedBits: undefined }
  const tiles = { format: moduleFormat('fp8_pb_wo', undefined), packedBits: undefined }
  const packed = { format: moduleFormat('int4_awq', 128), packedBits: 4 }

  test.each([
    ['rows divide, blocks lie along columns', { rows: 8, cols: 16, parallel: 'column' }, nvfp4, 8, undefined],
    ['columns cut a block', { rows: 8, cols: 64, parallel: 'row' }, nvfp4, 8, '8 input columns per rank'],
    ['columns of whole blocks', { rows: 8, cols: 128, parallel: 'row' }, nvfp4, 8, undefined],
    [
      'rows that do not divide',
      { rows: 12, cols: 64, parallel: 'column' },
      nvfp4,
      8,
      '12 output rows among 8',
    ],
    ['rows cut a tile', { rows: 512, cols: 128, parallel: 'column' }, tiles, 8, '64 output rows per rank'],
    ['rows of whole tiles', { rows: 1024, cols: 128, parallel: 'column' }, tiles, 8, undefined],
    [
      'columns cut a group of packed integers',
      { rows: 8, cols: 512, parallel: 'row' },
      packed,
      8,
      '64 input columns',
    ],
    ['not divided at all', { rows: 1, cols: 64, parallel: 'none' }, nvfp4, 8, undefined],
    ['one rank', { rows: 3, cols: 48, parallel: 'row' }, nvfp4, 1, undefined],
  ] as const)('%s', (_, matrix, stored, size, expected) => {
    const found = obstacle(matrix, stored, size)
    if (expected === undefined) expect(found).toBeUndefined()
    else expect(found).toContain(expected)
  })
})

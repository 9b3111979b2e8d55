/**
 * Damage, doctor, verify. What doctor claims to repair without data must verify afterwards, with nothing else changed; what it does not
 * claim must be reported and stay as it is. A repair that hides damage, touches a sound tensor or invents a value fails here.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { planRepairs } from '../../../main/engine/doctor/plan-repairs.ts'
import { ExportCopy, readFiles } from '../../tools/export-surgery.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { writeAmaxFixture } from '../../tools/write-amax-fixture.ts'
import {
  EXPERT,
  FULL,
  LAYER,
  MTP,
  NORM,
  ROUTER,
  VISION,
  flip,
  remove,
  setByte,
  setFloat,
} from '../verify/damage.ts'
import { HEADER_DAMAGES } from '../verify/header-damages.ts'
import { VALUE_DAMAGES } from '../verify/value-damages.ts'
import { differences, doctor } from './doctor.ts'

const RECIPE = 'nvfp4_default-kv_fp8'
/** Damages of the table of `verify` that are repaired without data, and the tensors that may change; `[]` = configuration or index only. */
const CLAIMED: Readonly<Record<string, readonly string[]>> = {
  'the index lists a tensor that no shard has': [],
  'the index names the wrong shard': [],
  'a tensor is in a shard but not in the index': [],
  'a weight file that the index does not know': [],
  'total_size is wrong': [],
  'the algorithms differ': [],
  'the KV cache formats differ': [],
  'one exclude list lacks an entry': [],
  'the block sizes of the files differ': [],
  'the block sizes within config.json differ': [],
  'a key that readers demand is missing': [],
  'lm_head is not excluded': [],
  'a router is not excluded': [],
  'the MTP block is not excluded': [],
  'a quantized module is excluded': [],
  'the input scale of one expert is missing': [`${EXPERT}.gate_proj.input_scale`],
  'an input scale as I32': [`${EXPERT}.up_proj.input_scale`],
  'a tensor scale is NaN': [`${EXPERT}.up_proj.weight_scale_2`],
  'an input scale is infinite': [`${EXPERT}.down_proj.input_scale`],
  'a block scale is the byte 0x7F': [`${EXPERT}.up_proj.weight_scale`],
  'a block scale is the byte 0xFF': [`${EXPERT}.up_proj.weight_scale`],
  'a tensor scale is zero': [`${EXPERT}.up_proj.weight_scale_2`],
  'an input scale is zero': [`${FULL}.q_proj.input_scale`],
  'an input scale is negative': [`${EXPERT}.down_proj.input_scale`],
  'gate and up have different tensor scales': [
    `${EXPERT}.gate_proj.weight_scale`,
    `${EXPERT}.gate_proj.weight_scale_2`,
  ],
  'gate and up have different input scales': [`${EXPERT}.up_proj.input_scale`],
  'q, k and v have different tensor scales': [`${FULL}.k_proj.weight_scale`, `${FULL}.k_proj.weight_scale_2`],
  'shared gate and up have different input scales': [`${LAYER}.0.mlp.shared_expert.gate_proj.input_scale`],
}
const ROUTER_MODULE = ROUTER.replace('.weight', '')
/** Something else of the export is put right, the damage itself stays. */
const PARTLY = ['a shard is missing', 'the shard of the vision tower is missing', 'a whole expert is missing']
const DAMAGES = [...HEADER_DAMAGES, ...VALUE_DAMAGES].filter(({ needsSource }) => needsSource !== true)

function claimed(accept: (tensors: readonly string[]) => boolean): typeof DAMAGES {
  return DAMAGES.filter(({ name }) => CLAIMED[name] !== undefined && accept(CLAIMED[name]))
}

/** One of each rule. */
const UNCLAIMED = DAMAGES.filter(
  ({ name, rule }, position) =>
    CLAIMED[name] === undefined &&
    DAMAGES.findIndex((other) => other.rule === rule && CLAIMED[other.name] === undefined) === position,
)

let files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>
beforeAll(async () => {
  const { outputPath } = await runForTest({
    options: { recipe: RECIPE, profile: 'hardened', maxShardSizeBytes: 4_000_000 },
    amaxPath: await writeAmaxFixture(RECIPE),
  })
  files = await readFiles(outputPath)
})

describe('without data', () => {
  test('every claim is about a damage of the table', () => {
    const names = new Set(DAMAGES.map(({ name }) => name))
    expect([...Object.keys(CLAIMED), ...PARTLY].filter((name) => !names.has(name))).toEqual([])
  })

  test.each(claimed(({ length }) => length === 0))(
    'repaired in configuration or index: $name',
    async ({ damage }) => {
      const copy = new ExportCopy(files)
      damage(copy)
      const { set, before } = await planRepairs(copy.folder())
      expect(set.repairs.length).toBeGreaterThan(0)
      expect([set.tables.size, set.scalars.size, set.encoded.length, set.restored.size]).toEqual([0, 0, 0, 0])
      // Without its damaged index the export is several files and no index.
      const errors = before.findings.filter(({ severity }) => severity === 'error')
      expect(errors.filter(({ rule }) => rule !== 'index.complete')).toEqual([])
    },
  )

  test('an index and a configuration with several damages, written and verified', async () => {
    const copy = new ExportCopy(files)
    for (const { name, damage } of claimed(({ length }) => length === 0))
      if (!name.includes('block sizes within') && !name.includes('index names')) damage(copy)
    const { report, changed } = await doctor(copy)
    expect(report.verification.findings.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(changed).toEqual([])
    expect(new Set(report.repairs.map(({ rule }) => rule))).toEqual(
      new Set(['config.agree', 'ignore.exact', 'index.resolvable']),
    )
  })

  test.each(claimed(({ length }) => length > 0))('repaired: $name', async ({ name, damage }) => {
    const copy = new ExportCopy(files)
    damage(copy)
    const { report, changed } = await doctor(copy)
    expect(report.verification.findings.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(report.verification.isSound).toBe(true)
    expect(changed).toEqual(CLAIMED[name])
  })

  test.each(UNCLAIMED)('reported, not repaired: $name', async ({ name, rule, damage }) => {
    const copy = new ExportCopy(files)
    damage(copy)
    const { set, before } = await planRepairs(copy.folder())
    if (!PARTLY.includes(name)) {
      expect(set.repairs).toEqual([])
      expect(before.findings.map((finding) => finding.rule)).toContain(rule)
    }
    expect(before.isSound).toBe(false)
  })

  test('nothing is written for a sound export, nor for one that is beyond repair', async () => {
    const sound = await doctor(new ExportCopy(files))
    expect(sound.report).toMatchObject({
      displayPath: undefined,
      repairs: [],
      verification: { isSound: true },
    })
    const copy = new ExportCopy(files)
    copy.replace([NORM], remove)
    const lost = await doctor(copy)
    expect(lost.report).toMatchObject({
      displayPath: undefined,
      repairs: [],
      verification: { isSound: false },
    })
  })

  test('what cannot be repaired stays byte for byte, beside what can', async () => {
    const copy = new ExportCopy(files)
    copy.poke(NORM, (bytes) => {
      bytes.set([0xc0, 0x7f], 8)
    })
    copy.poke(`${EXPERT}.down_proj.weight_scale`, (bytes) => {
      bytes[3] = (bytes[3] ?? 0) | 0x80
    })
    copy.scalar(`${EXPERT}.down_proj.input_scale`, setFloat(0))
    const { report, changed } = await doctor(copy)
    expect(changed).toEqual([`${EXPERT}.down_proj.input_scale`])
    expect(report.verification.findings.map(({ rule, subject }) => [rule, subject])).toEqual([
      ['scale.positive', `${EXPERT}.down_proj.weight_scale`],
      ['weight.finite', NORM],
    ])
  })

  test('a lost exclude list of one file and a lost second file come back', async () => {
    const copy = new ExportCopy(files)
    copy.files.delete('hf_quant_config.json')
    const { report, result } = await doctor(copy)
    expect(report.verification.findings).toEqual([])
    const written = JSON.parse(new TextDecoder().decode(result?.files.get('hf_quant_config.json'))) as Record<
      string,
      Record<string, unknown>
    >
    const original = JSON.parse(new TextDecoder().decode(files.get('hf_quant_config.json'))) as typeof written
    expect(written['quantization']).toEqual(original['quantization'])
  })
})

describe('values', () => {
  /** Value of an E4M3 byte, written down apart from the code under test. */
  const e4m3 = (byte: number): number => {
    const exponent = (byte >> 3) & 15
    return exponent === 0 ? (byte & 7) * 2 ** -9 : (1 + (byte & 7) / 8) * 2 ** (exponent - 7)
  }
  const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]

  /** Dequantized NVFP4 matrix: code · block scale · tensor scale. */
  function decode(copy: ExportCopy, module: string): readonly number[] {
    const codes = copy.tensor(`${module}.weight`).bytes
    const scales = copy.tensor(`${module}.weight_scale`).bytes
    const tensorScale = new DataView(copy.tensor(`${module}.weight_scale_2`).bytes.buffer).getFloat32(0, true)
    return [...codes].flatMap((pair, at) => {
      const scale = e4m3(scales[at >> 3] ?? 0) * tensorScale
      return [pair & 15, pair >> 4].map((code) => (code & 8 ? -1 : 1) * (E2M1[code & 7] ?? 0) * scale)
    })
  }

  test('rescaling keeps every weight within the rounding of E4M3 and states the change exactly', async () => {
    const copy = new ExportCopy(files)
    copy.scalar(`${EXPERT}.up_proj.weight_scale_2`, (value) => value * 1.3)
    const { report, result } = await doctor(copy)
    if (result === undefined) throw new Error('nothing was written')
    const [before, after] = [decode(copy, `${EXPERT}.gate_proj`), decode(result, `${EXPERT}.gate_proj`)]
    let squares = 0
    let changes = 0
    for (const [index, value] of before.entries()) {
      const made = after[index] ?? Number.NaN
      expect(Math.abs(made - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -4)
      squares += value * value
      changes += (made - value) ** 2
    }
    const [repair] = report.repairs
    expect(report.repairs).toHaveLength(1)
    expect(repair).toMatchObject({ rule: 'scale.gate-up', subject: `${EXPERT}.gate_proj.weight_scale_2` })
    expect(repair?.relativeError).toBeCloseTo(Math.sqrt(changes / squares), 9)
    expect(repair?.relativeError).toBeGreaterThan(0.005)
    expect(decode(result, `${EXPERT}.up_proj`)).toEqual(decode(copy, `${EXPERT}.up_proj`))
  })

  test("a dead expert as ModelOpt writes it gets usable scales, and its pair's input scale the layer's widest", async () => {
    const copy = new ExportCopy(files)
    for (const projection of ['gate_proj', 'up_proj', 'down_proj']) {
      copy.poke(`${EXPERT}.${projection}.weight`, (bytes) => bytes.fill(0))
      copy.poke(`${EXPERT}.${projection}.weight_scale`, (bytes) => bytes.fill(0x7f))
      copy.scalar(`${EXPERT}.${projection}.weight_scale_2`, setFloat(0))
      copy.scalar(`${EXPERT}.${projection}.input_scale`, setFloat(0))
    }
    const scales = [...copy.tensors().values()].filter(({ name }) =>
      /layers\.1\.mlp\.experts\..*down_proj\.input_scale$/.test(name),
    )
    const widest = Math.max(...scales.map(({ bytes }) => new DataView(bytes.buffer).getFloat32(0, true)))
    const { report, result } = await doctor(copy)
    expect(report.verification.isSound).toBe(true)
    if (result === undefined) throw new Error('nothing was written')
    expect(decode(result, `${EXPERT}.up_proj`).every((value) => value === 0)).toBe(true)
    const scalar = (name: string): number =>
      new DataView(result.tensor(name).bytes.buffer).getFloat32(0, true)
    expect(scalar(`${EXPERT}.gate_proj.weight_scale_2`)).toBe(Math.fround(1 / 2688))
    expect(scalar(`${EXPERT}.down_proj.input_scale`)).toBe(widest)
  })

  test('NaN codes of an FP8 export become the largest value of their sign', async () => {
    const recipe = 'fp8_default-kv_fp8'
    const { outputPath } = await runForTest({
      options: { recipe, profile: 'identical', maxShardSizeBytes: 4_000_000 },
      amaxPath: await writeAmaxFixture(recipe),
    })
    const copy = new ExportCopy(await readFiles(outputPath))
    copy.poke(`${EXPERT}.up_proj.weight`, setByte(9, 0x7f))
    copy.poke(`${EXPERT}.up_proj.weight`, setByte(11, 0xff))
    const { report, result, changed } = await doctor(copy)
    expect(changed).toEqual([`${EXPERT}.up_proj.weight`])
    expect([...(result?.tensor(`${EXPERT}.up_proj.weight`).bytes.subarray(8, 13) ?? [])]).toEqual(
      [...copy.tensor(`${EXPERT}.up_proj.weight`).bytes.subarray(8, 13)].map((byte, at) =>
        at === 1 ? 0x7e : at === 3 ? 0xfe : byte,
      ),
    )
    expect(report.repairs[0]).toMatchObject({
      rule: 'weight.finite',
      action: expect.stringMatching(/^assumed: .* only --source tells$/) as string,
      relativeError: undefined,
    })
    expect(report.verification.isSound).toBe(true)
  })

  test('compressed-tensors: reciprocal scales, and its one exclude list', async () => {
    const { outputPath } = await runForTest({
      options: {
        recipe: 'nvfp4_experts_only_input_scale1-kv_fp8_cast',
        dialect: 'compressed-tensors',
        maxShardSizeBytes: 4_000_000,
      },
    })
    const copy = new ExportCopy(await readFiles(outputPath))
    copy.scalar(`${EXPERT}.up_proj.weight_global_scale`, (value) => value / 1.3)
    copy.scalar(`${EXPERT}.down_proj.input_global_scale`, setFloat(Infinity))
    copy.replace([`${LAYER}.0.mlp.experts.3.up_proj.input_global_scale`], remove)
    copy.poke(`${LAYER}.2.mlp.experts.3.down_proj.weight_scale`, setByte(5, 0x7f))
    copy.json('config.json', (json) => {
      const config = json['quantization_config'] as Record<string, unknown>
      config['ignore'] = (config['ignore'] as string[]).filter((entry) => entry !== ROUTER_MODULE)
      return json
    })
    const { report, changed } = await doctor(copy)
    expect(report.verification.findings.filter(({ severity }) => severity !== 'info')).toEqual([])
    expect(changed).toEqual([
      `${LAYER}.0.mlp.experts.3.up_proj.input_global_scale`,
      `${EXPERT}.down_proj.input_global_scale`,
      `${EXPERT}.gate_proj.weight_global_scale`,
      `${EXPERT}.gate_proj.weight_scale`,
      `${LAYER}.2.mlp.experts.3.down_proj.weight_scale`,
    ])
    expect(report.repairs.map(({ rule }) => rule).sort()).toEqual([
      'ignore.exact',
      'names.exact',
      'scale.gate-up',
      'scale.nan',
      'scale.nan',
    ])
  })
})

describe('with the source', () => {
  test('everything that the source tells comes back at once, and the result verifies against it', async () => {
    const copy = new ExportCopy(files)
    copy.replace([MTP, VISION, NORM], remove)
    copy.replace(copy.names(/layers\.1\.mlp\.experts\.7\.down_proj/), remove)
    copy.poke('model.visual.patch_embed.proj.bias', flip(1))
    copy.poke(`${EXPERT}.down_proj.weight_scale`, setByte(3, 0x7f))
    copy.scalar(`${EXPERT}.up_proj.weight_scale_2`, (value) => value * 1.3)
    copy.scalar(`${FULL}.o_proj.weight_scale_2`, (value) => value / 2)
    copy.files.delete('tokenizer.json')
    copy.files.delete('README.md')
    const { report, changed, result } = await doctor(copy, true)
    expect(report.verification.findings).toEqual([])
    expect(report.verification.sourcePath).toBeDefined()
    expect(result === undefined ? ['nothing written'] : differences(new ExportCopy(files), result)).toEqual(
      [],
    )
    expect(changed).toContain(MTP)
    expect(result?.files.get('tokenizer.json')).toEqual(files.get('tokenizer.json'))
  })

  test('a shard that is gone', async () => {
    const copy = new ExportCopy(files)
    copy.files.delete(copy.shardOf(VISION))
    const { report } = await doctor(copy, true)
    // Calibrated input scales of single projections are nowhere else.
    expect([
      ...new Set(report.verification.findings.map(({ subject }) => /[^.]+\.[^.]+$/.exec(subject)?.[0])),
    ]).toEqual(['out_proj.input_scale', 'in_proj_qkv.input_scale', 'in_proj_z.input_scale'])
  })

  test('what differs from the source, but works, stays: it may be meant so', async () => {
    const copy = new ExportCopy(files)
    copy.poke(ROUTER, flip(10))
    copy.files.set('chat_template.jinja', new TextEncoder().encode('{{ messages }}'))
    const { report } = await doctor(copy, true)
    expect(report.displayPath).toBeUndefined()
    expect(report.verification.findings.map(({ rule, subject }) => [rule, subject])).toEqual([
      ['source.unquantized', ROUTER],
      ['source.side-files', 'chat_template.jinja'],
    ])
  })
})

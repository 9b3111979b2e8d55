/** The receipt: what it holds, and that a changed byte of tensor, recipe, file or source is named by `verify --receipt`. */
import { createHash } from 'node:crypto'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ReceiptCheck } from '../../../shared/domain/receipt-check.ts'
import { checkReceipt } from '../../../main/host/receipt/check-receipt.ts'
import { runCli } from '../../tools/cli.ts'
import { copySample } from '../../tools/damaged-checkpoint.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'
import { writeAmaxFixture } from '../../tools/write-amax-fixture.ts'

const SHARD = 'model.safetensors-00001-of-00004.safetensors'
let sound = ''
let amaxPath: string | undefined

beforeAll(async () => {
  amaxPath = await writeAmaxFixture('nvfp4_experts_only-kv_fp8')
  const options = { recipe: 'nvfp4_experts_only-kv_fp8', maxShardSizeBytes: 4_000_000 }
  sound = (await runForTest({ options, amaxPath })).outputPath
})

async function damagedCopy(): Promise<string> {
  const folder = join(await temporaryFolder(), 'export')
  await cp(sound, folder, { recursive: true })
  return folder
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  const position = at < 0 ? bytes.length + at : at
  bytes[position] = (bytes[position] ?? 0) ^ 1
  await writeFile(path, bytes)
}

const check = (exportPath: string, sourcePath?: string): Promise<ReceiptCheck> =>
  checkReceipt({ exportPath, sourcePath, isCancelled: () => false })
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('what the receipt holds', () => {
  test('recipe, data, versions, hardware, coverage, and hashes that cover every byte of the source', async () => {
    const receipt = JSON.parse(await readFile(join(sound, 'quantmill/receipt.json'), 'utf8')) as Record<
      string,
      unknown
    > & {
      source: { shards: { fileName: string; fileSizeBytes: number; headerSha256: string }[] }
      sourceRanges: Record<string, string>
      files: Record<string, string>
    }
    expect(receipt).toMatchObject({
      schema: 2,
      producer: { name: 'quantmill', version: '0.0.0-test' },
      machine: { node: process.versions.node, workers: 2 },
      recipe: {
        name: 'nvfp4_experts_only-kv_fp8',
        sha256: sha256(await readFile(join(sound, 'quantmill/recipe.yaml'))),
      },
      data: { kind: 'amax', name: 'amax.json', sha256: sha256(await readFile(amaxPath ?? '')) },
    })
    for (const key of ['options', 'coverage', 'errors', 'repairs']) expect(receipt).toHaveProperty(key)
    expect(receipt.files['quantmill/recipe.yaml']).toBe(
      sha256(await readFile(join(sound, 'quantmill/recipe.yaml'))),
    )
    const covered = new Map<string, number>()
    for (const [key, hash] of Object.entries(receipt.sourceRanges)) {
      const [, name = '', begin, length] = /^(.+):(\d+)\+(\d+)$/.exec(key) ?? []
      const bytes = (await readFile(join(SAMPLE, name))).subarray(
        Number(begin),
        Number(begin) + Number(length),
      )
      expect(sha256(bytes)).toBe(hash)
      covered.set(name, (covered.get(name) ?? 0) + Number(length))
    }
    for (const { fileName, fileSizeBytes, headerSha256 } of receipt.source.shards) {
      const file = await readFile(join(SAMPLE, fileName))
      const headerBytes = 8 + Number(file.readBigUInt64LE(0))
      expect(file.length).toBe(fileSizeBytes)
      expect(sha256(file.subarray(0, headerBytes))).toBe(headerSha256)
      expect(covered.get(fileName)).toBe(fileSizeBytes - headerBytes)
    }
  })

  test.each([
    ['the built-in text by its version', undefined, { kind: 'builtin', samples: 1, sequenceLength: 8 }],
    ['a file by its hash', 'some text for calibration\n'.repeat(40), { kind: 'file', name: 'data.txt' }],
  ])('%s', async (_, text, expected) => {
    const calibrationPath = text === undefined ? undefined : join(await temporaryFolder(), 'data.txt')
    if (calibrationPath !== undefined) await writeFile(calibrationPath, text ?? '')
    const { outputPath } = await runForTest({
      options: { recipe: 'nvfp4_experts_only-kv_fp8', samples: 1, sequenceLength: 8 },
      ...(calibrationPath === undefined ? {} : { calibrationPath }),
    })
    const { data } = JSON.parse(await readFile(join(outputPath, 'quantmill/receipt.json'), 'utf8')) as {
      data: Record<string, unknown>
    }
    expect(data).toMatchObject(expected)
    if (text === undefined)
      expect(data['version']).toMatch(/^@stdlib\/datasets-moby-dick \d+\.\d+\.\d+, @stdlib/)
    else expect(data['sha256']).toBe(sha256(Buffer.from(text)))
    expect((await check(outputPath, SAMPLE)).isIntact).toBe(true)
  })
})

describe('verify --receipt', () => {
  test('an untouched export and its source', async () => {
    const result = await check(sound, SAMPLE)
    expect(result).toMatchObject({ isIntact: true, mismatches: [], mismatchCount: 0 })
    expect(result.tensorCount).toBeGreaterThan(1000)
    expect(result.sourceRangeCount).toBeGreaterThan(300)
  })

  test.each([
    ['a byte of a tensor', 'model-00001-of-00006.safetensors', -1, 'tensor', /^model\./],
    ['a byte of the recipe', 'quantmill/recipe.yaml', 5, 'recipe', /^quantmill\/recipe\.yaml$/],
    ['a byte of a side file', 'tokenizer.json', 20, 'file', /^tokenizer\.json$/],
    ['a byte of the calibration dump', 'quantmill/calibration.safetensors', -1, 'file', /calibration/],
  ])('%s', async (_, file, at, kind, subject) => {
    const folder = await damagedCopy()
    await flip(join(folder, file), at)
    const { mismatches, isIntact } = await check(folder)
    expect(isIntact).toBe(false)
    expect(mismatches).toHaveLength(1)
    expect(mismatches[0]?.kind).toBe(kind)
    expect(mismatches[0]?.subject).toMatch(subject)
  })

  test('a byte of the source, its header, and a lost shard', async () => {
    const source = await copySample([SHARD])
    await flip(join(source, SHARD), -1)
    const changed = await check(sound, source)
    expect(changed.mismatches).toHaveLength(1)
    expect(changed.mismatches[0]).toMatchObject({ kind: 'source' })
    expect(changed.mismatches[0]?.subject).toMatch(new RegExp(`^${SHARD}: \\S+\\.`))
    await rm(join(source, SHARD))
    expect((await check(sound, source)).mismatches).toEqual([
      { kind: 'source', subject: SHARD, message: expect.stringContaining('it is missing') as string },
    ])
  })

  test('a lost file and a lost tensor', async () => {
    const folder = await damagedCopy()
    await rm(join(folder, 'tokenizer.json'))
    const path = join(folder, 'quantmill/receipt.json')
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace('"lm_head.weight"', '"lm_head.other"'))
    expect((await check(folder)).mismatches.map(({ kind, subject }) => [kind, subject])).toEqual([
      ['file', 'tokenizer.json'],
      ['tensor', 'lm_head.weight'],
      ['tensor', 'lm_head.other'],
    ])
  })

  test.each([
    ['no JSON', '{', 'CONFIG_INVALID'],
    ['another schema', '{"schema": 1}', 'CONFIG_INVALID'],
    [
      'a path out of the export',
      '{"schema":2,"files":{"../x":"' + '0'.repeat(64) + '"},"tensors":{"a":"' + '0'.repeat(64) + '"}}',
      'PATH_ESCAPES_CHECKPOINT',
    ],
    ['no hash', '{"schema":2,"files":{"x":"1"},"tensors":{}}', 'CONFIG_INVALID'],
  ])('a receipt with %s is refused', async (_, text, code) => {
    const folder = join(await temporaryFolder(), 'export')
    await cp(join(sound, 'quantmill'), join(folder, 'quantmill'), { recursive: true })
    await writeFile(join(folder, 'quantmill/receipt.json'), text)
    expect((await errorOf(() => check(folder))).code).toBe(code)
  })

  test('the command: exit codes, and errors of every matrix with --record', async () => {
    const folder = await damagedCopy()
    const good = await runCli(['verify', folder, '--receipt', '--source', SAMPLE, '--record'])
    expect(good.stdout).toContain('receipt: every hash agrees')
    expect(good.exitCode).toBe(0)
    const { relativeError } = JSON.parse(await readFile(join(folder, 'quantmill/errors.json'), 'utf8')) as {
      relativeError: Record<string, number>
    }
    expect(Object.keys(relativeError)).toHaveLength(384)
    // NVFP4 of Gaussian-like weights: 8 to 12 %.
    for (const error of Object.values(relativeError)) expect(error).toBeGreaterThan(0.07)
    for (const error of Object.values(relativeError)) expect(error).toBeLessThan(0.13)
    await flip(join(folder, 'quantmill/recipe.yaml'), 5)
    const bad = await runCli(['verify', folder, '--receipt', '--json'])
    expect(JSON.parse(bad.stdout)).toMatchObject({ isSound: true, receipt: { isIntact: false } })
    expect(bad.exitCode).toBe(1)
    const unusable = await runCli(['verify', folder, '--record'])
    expect(unusable.stderr).toContain('--record needs --source')
    expect(unusable.exitCode).toBe(2)
  })
})

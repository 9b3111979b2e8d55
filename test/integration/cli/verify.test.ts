/** The commands: exit code 0 sound, 1 a rule is broken or the engine refuses, 2 not an export; one JSON object on standard output. */
import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { runCli } from '../../tools/cli.ts'
import { changeJson } from '../../tools/damaged-checkpoint.ts'
import { hashExport, runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

let output = ''
let doctored = ''
beforeAll(async () => {
  output = (await runForTest({ options: { recipe: 'mxfp4_mlp_weight_only' } })).outputPath
  doctored = join(await temporaryFolder(), 'export')
  await cp(output, doctored, { recursive: true })
})

describe('quantmill verify', () => {
  test('a sound export', async () => {
    const { exitCode, stdout, stderr } = await runCli(['verify', output, '--source', SAMPLE, '--json'])
    expect(stderr).toBe('')
    const report = JSON.parse(stdout) as VerifyReport
    expect(report).toMatchObject({ isSound: true, algorithm: 'MXFP4', comparedMatrixCount: 396 })
    expect(exitCode).toBe(0)
  })

  test('an engine that is known to refuse it', async () => {
    const { exitCode, stdout } = await runCli(['verify', output, '--engine', 'vllm'])
    expect(stdout).toContain('NOT ACCEPTED by vllm')
    expect(stdout).toContain('vllm.algorithm')
    expect(exitCode).toBe(1)
  })

  test('the source itself is no export', async () => {
    const { exitCode, stdout } = await runCli(['verify', SAMPLE])
    expect(stdout).toContain('config.declared')
    expect(exitCode).toBe(1)
  })

  test.each([
    ['no such folder', ['verify', join(SAMPLE, 'nothing')], 'CHECKPOINT_NOT_FOUND'],
    ['an unknown engine', ['verify', SAMPLE, '--engine', 'llama'], 'USAGE'],
    ['no folder at all', ['verify'], 'USAGE'],
  ])('%s', async (_, argv, code) => {
    const { exitCode, stderr, stdout } = await runCli(argv)
    expect(stderr).toContain(`error ${code}`)
    expect(stdout).toBe('')
    expect(exitCode).toBe(2)
  })

  test('a broken rule, then a file that is no checkpoint', async () => {
    await rm(join(output, 'hf_quant_config.json'))
    await changeJson(join(output, 'config.json'), (json) => {
      const config = json['quantization_config'] as Record<string, unknown>
      config['ignore'] = (config['ignore'] as string[]).filter((entry) => !entry.startsWith('lm_head'))
    })
    const broken = await runCli(['verify', output])
    expect(broken.stdout).toContain('error ignore.exact')
    expect(broken.exitCode).toBe(1)
    await changeJson(join(output, 'config.json'), (json) => {
      json['quantization_config'] = { quant_method: 'gptq', bits: 4 }
    })
    const foreign = await runCli(['verify', output])
    expect(foreign.stderr).toContain('error DIALECT_UNSUPPORTED')
    expect(foreign.exitCode).toBe(2)
  })
})

describe('quantmill doctor', () => {
  test('a damaged copy is repaired and verifies; the damaged one stays', async () => {
    const damaged = join(await temporaryFolder(), 'damaged')
    await cp(doctored, damaged, { recursive: true })
    await changeJson(join(damaged, 'config.json'), (json) => {
      const config = json['quantization_config'] as Record<string, unknown>
      config['ignore'] = (config['ignore'] as string[]).filter((entry) => !entry.startsWith('lm_head'))
    })
    const before = await hashExport(damaged)
    const repaired = `${damaged}-repaired`
    const text = await runCli(['doctor', damaged, '--out', repaired])
    expect(text.stdout).toContain('sound: the repaired export verifies')
    expect(text.stdout).toContain('repaired config.agree (1)')
    expect(text.exitCode).toBe(0)
    expect(await hashExport(damaged)).toEqual(before)
    expect((await runCli(['verify', repaired])).exitCode).toBe(0)
    const again = await runCli(['doctor', repaired, '--out', `${damaged}-again`, '--json'])
    expect(JSON.parse(again.stdout)).toMatchObject({ repairs: [], verification: { isSound: true } })
    expect(again.exitCode).toBe(0)
    const inPlace = await runCli(['doctor', damaged, '--out', damaged, '--overwrite'])
    expect(inPlace.stderr).toContain('error OUTPUT_INSIDE_SOURCE')
    expect(inPlace.exitCode).toBe(2)
    expect(await hashExport(damaged)).toEqual(before)
  })

  test('what is left is listed, with exit code 1', async () => {
    const damaged = join(await temporaryFolder(), 'damaged')
    await cp(doctored, damaged, { recursive: true })
    await changeJson(join(damaged, 'config.json'), (json) => {
      json['quantization_config'] = { quant_method: 'modelopt', quant_algo: 'NVFP3', ignore: [] }
    })
    await rm(join(damaged, 'hf_quant_config.json'))
    const { exitCode, stdout } = await runCli(['doctor', damaged, '--out', `${damaged}-repaired`])
    expect(stdout).toContain('not repaired config.declared')
    expect(stdout).toContain('nothing was written')
    expect(exitCode).toBe(1)
    expect(await readdir(join(damaged, '..'))).toEqual(['damaged'])
  })
})

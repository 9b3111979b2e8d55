/** The command: exit code 0 sound, 1 a rule is broken or the engine refuses, 2 not an export; one JSON object on standard output. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { runCli } from '../../tools/cli.ts'
import { changeJson } from '../../tools/damaged-checkpoint.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'

let output = ''
beforeAll(async () => {
  output = (await runForTest({ options: { recipe: 'mxfp4_mlp_weight_only' } })).outputPath
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

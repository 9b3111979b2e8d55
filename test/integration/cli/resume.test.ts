/** What `partials` prints continues the run, whatever options it had and wherever its recipe came from; an option that is lost would be refused. */
import { mkdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { readRunRecord, writeRunRecord } from '../../../main/host/jobs/run-record.ts'
import { runJob } from '../../../main/host/jobs/run-job.ts'
import type { RunOptions } from '../../../shared/domain/run-options.ts'
import { runCli } from '../../tools/cli.ts'
import { smallCheckpoint } from '../../tools/faults/small-checkpoint.ts'
import { hashExport, silentObserver, TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

/** Every option, none of them as by default: a new one must be added here to compile, and is then lost by nothing. */
const ALL: Required<RunOptions> = {
  recipe: 'mine',
  recipeText: 'schema: 1\n',
  kv: 'nvfp4',
  dialect: 'compressed-tensors',
  profile: 'identical',
  expertInputScale: 'shared',
  maxShardSizeBytes: 1_234_567,
  samples: 3,
  sequenceLength: 65,
  statistics: 'full',
  quality: 'full',
  minTokensPerExpert: 2,
  coverageBudget: 7,
  device: 'cpu',
  workers: 3,
  memoryBytes: 54_321,
}

test('the record of a run keeps every option', async () => {
  const partialPath = await temporaryFolder()
  await mkdir(join(partialPath, 'quantmill'))
  const request = {
    checkpointPath: '/c',
    outputPath: '/o',
    options: ALL,
    calibrationPath: '/d',
    amaxPath: '/a',
  }
  await writeRunRecord(partialPath, request, 9)
  const { outputPath: _, ...recorded } = request
  expect(await readRunRecord(partialPath)).toEqual({ schema: 1, ...recorded, taskCount: 9 })
})

const RECIPE = `
quantize:
  algorithm: max
  quant_cfg:
    - quantizer_name: '*'
      enable: false
    - quantizer_name: '*mlp.experts*weight_quantizer'
      cfg: {num_bits: e4m3}
    - quantizer_name: '*mlp.experts*input_quantizer'
      cfg: {num_bits: e4m3}
`

test('the printed command continues a run of a recipe file to the same bytes', async () => {
  const checkpointPath = await smallCheckpoint()
  const folder = join(await temporaryFolder(), "with a space and a '")
  await mkdir(folder)
  const { version } = JSON.parse(
    await readFile(join(import.meta.dirname, '../../../package.json'), 'utf8'),
  ) as { version: string }
  const options: RunOptions = {
    ...ALL,
    ...{ recipeText: RECIPE, quality: 'off' },
    ...{ dialect: 'modelopt', profile: 'hardened', kv: 'none' },
  }
  const run = (outputPath: string, isStopped: (stage: string) => boolean): Promise<unknown> => {
    let shouldStop = false
    const observer = {
      ...silentObserver(() => shouldStop),
      stageProgress: (stage: string): void => {
        shouldStop ||= isStopped(stage)
      },
    }
    return runJob({ checkpointPath, outputPath, options }, { ...TEST_ENVIRONMENT, version }, observer)
  }
  const whole = join(folder, 'whole')
  await run(whole, () => false)
  const outputPath = join(folder, 'export')
  await expect(run(outputPath, (stage) => stage === 'export')).rejects.toMatchObject({ code: 'CANCELLED' })

  const { stdout } = await runCli(['partials', folder])
  const command = /^ {2}quantmill resume (.*)$/m.exec(stdout)?.[1] ?? ''
  const argument = command.slice(1, -1).replaceAll("'\\''", "'")
  expect(argument).toBe(`${outputPath}.partial`)
  const { exitCode, stderr } = await runCli(['resume', basename(argument)], { cwd: dirname(argument) })
  expect([exitCode, stderr.includes('error')]).toEqual([0, false])
  expect(await hashExport(outputPath)).toEqual(await hashExport(whole))
})

test('what is no unfinished run is refused by name', async () => {
  const folder = await temporaryFolder()
  const { exitCode, stderr } = await runCli(['resume', join(folder, 'nothing')])
  expect(exitCode).toBe(2)
  expect(stderr).toMatch(/^error PARTIAL_UNKNOWN: .*nothing\.partial: /)
})

/** A run that tells one problem per attempt, or that finds one only after it has begun to write, would show here. */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { preflight } from '../../../main/host/preflight/preflight.ts'
import { runJob } from '../../../main/host/jobs/run-job.ts'
import { DEFAULT_RUN_OPTIONS } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { runCli } from '../../tools/cli.ts'
import { silentObserver, TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const RECIPE = 'nvfp4_default-kv_fp8'
const OPTIONS = {
  ...DEFAULT_RUN_OPTIONS,
  recipe: RECIPE,
  samples: 2,
  sequenceLength: 48,
  workers: 1,
  device: 'cpu',
} as const

test('everything that is wrong comes back at once, before anything is written', async () => {
  const folder = await temporaryFolder()
  const outputPath = join(folder, 'export')
  await mkdir(outputPath)
  await writeFile(join(outputPath, 'mine.txt'), '')
  const calibrationPath = join(folder, 'gone.txt')
  // A thread that cannot start stands for a device that does not answer.
  const environment = { ...TEST_ENVIRONMENT, deviceWorkerFile: join(folder, 'no-such-worker.js') }
  const request = { checkpointPath: SAMPLE, outputPath, calibrationPath, options: OPTIONS }
  const expected = ['OUTPUT_NOT_EMPTY', 'CALIBRATION_DATA_INVALID', 'WORKER_CRASHED']
  const report = await preflight(request, environment)
  const errors = report.problems.filter(({ severity }) => severity === 'error')
  expect(errors.map(({ code }) => code)).toEqual(expected)
  expect(errors.map(({ subject }) => subject)).toEqual([outputPath, calibrationPath, 'device worker (cpu)'])
  const error: unknown = await runJob(request, environment, silentObserver()).catch(
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(AppError)
  const found = error as AppError
  expect([found.code, ...found.further.map(({ code }) => code)]).toEqual(expected)
  expect(found.toLines()).toHaveLength(3)
  expect(existsSync(`${outputPath}.partial`)).toBe(false)
})

test('what engines will not load is a warning, and a run that nothing stops has no error', async () => {
  const request = {
    checkpointPath: SAMPLE,
    outputPath: join(await temporaryFolder(), 'export'),
    options: OPTIONS,
  }
  const { problems } = await preflight(request, TEST_ENVIRONMENT)
  expect(problems.map(({ severity, code, subject }) => [severity, code, subject])).toEqual([
    ['warning', 'ENGINE_REFUSES', 'trtllm'],
  ])
})

test('what cannot be planned is a problem like the others', async () => {
  const options = { ...OPTIONS, recipe: 'no-such-recipe' }
  const request = { checkpointPath: SAMPLE, outputPath: join(await temporaryFolder(), 'export'), options }
  expect((await preflight(request, TEST_ENVIRONMENT)).problems).toMatchObject([
    { severity: 'error', code: 'RECIPE_UNKNOWN' },
  ])
})

test('the command line: plan --out lists them, run prints one line each, both with the exit code of the first', async () => {
  const folder = await temporaryFolder()
  const out = join(folder, 'export')
  await mkdir(out)
  await writeFile(join(out, 'mine.txt'), '')
  const common = [
    SAMPLE,
    '--recipe',
    RECIPE,
    '--out',
    out,
    '--calib',
    join(folder, 'gone.txt'),
    '--device',
    'cpu',
  ]
  const plan = await runCli(['plan', ...common])
  expect(plan.exitCode).toBe(2)
  expect(plan.stdout).toMatch(
    / {2}error {4}OUTPUT_NOT_EMPTY: .*\n {2}error {4}CALIBRATION_DATA_INVALID: .*\n {2}warning {2}ENGINE_REFUSES: /,
  )
  const run = await runCli(['run', ...common])
  expect(run.exitCode).toBe(2)
  expect(run.stderr).toMatch(/^error OUTPUT_NOT_EMPTY: .*\nerror CALIBRATION_DATA_INVALID: .*\n$/m)
})

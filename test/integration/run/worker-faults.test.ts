/** Threads that die, a device that stops answering, a source that changes: each with its error, its state on disk, and how it goes on. */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, open, readdir, rename, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runJob } from '../../../main/host/jobs/run-job.ts'
import type { JobEnvironment, JobObserver } from '../../../main/host/jobs/job-observer.ts'
import { DEFAULT_RUN_OPTIONS } from '../../../shared/domain/run-options.ts'
import { makeFaultyWorker, type WorkerFault } from '../../tools/faults/faulty-worker.ts'
import { smallCheckpoint } from '../../tools/faults/small-checkpoint.ts'
import { hashExport, silentObserver, TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const DATA_FREE = 'nvfp4_experts_only_input_scale1-kv_fp8_cast'
const CALIBRATED = 'nvfp4_default-kv_fp8'

interface Run {
  readonly checkpointPath: string
  readonly outputPath: string
  readonly recipe?: string
  readonly environment?: JobEnvironment
  readonly observer?: JobObserver
  readonly canResume?: boolean
}

function run({
  recipe = DATA_FREE,
  environment = TEST_ENVIRONMENT,
  observer = silentObserver(),
  ...request
}: Run) {
  const options = {
    ...DEFAULT_RUN_OPTIONS,
    recipe,
    workers: 2,
    samples: 2,
    sequenceLength: 64,
    device: 'cpu' as const,
  }
  return runJob({ ...request, options }, environment, observer)
}

async function undisturbed(checkpointPath: string, recipe = DATA_FREE): Promise<Record<string, string>> {
  const outputPath = join(await temporaryFolder(), 'export')
  await run({ checkpointPath, outputPath, recipe })
  return hashExport(outputPath)
}

async function faulty(
  folder: string,
  worker: 'export' | 'device',
  fault: WorkerFault,
): Promise<JobEnvironment> {
  const { file } = await makeFaultyWorker(folder, worker, fault)
  return { ...TEST_ENVIRONMENT, [`${worker}WorkerFile`]: file }
}

describe('export workers', () => {
  test('one that dies is replaced and its task repeated: the same bytes', async () => {
    const checkpointPath = await smallCheckpoint()
    const outputPath = join(await temporaryFolder(), 'export')
    const environment = await faulty(join(outputPath, '..'), 'export', {
      call: 'writeSync',
      at: 7,
      kind: 'exit once',
    })
    await run({ checkpointPath, outputPath, environment })
    expect(existsSync(join(outputPath, '..', 'faulty-export.died'))).toBe(true)
    expect(await hashExport(outputPath)).toEqual(await undisturbed(checkpointPath))
  })

  test('three in a row end the run, and what was finished counts', async () => {
    const checkpointPath = await smallCheckpoint()
    const outputPath = join(await temporaryFolder(), 'export')
    const environment = await faulty(join(outputPath, '..'), 'export', {
      call: 'writeSync',
      at: 0,
      kind: 'exit',
    })
    await expect(run({ checkpointPath, outputPath, environment })).rejects.toMatchObject({
      code: 'WORKER_CRASHED',
    })
    expect(existsSync(outputPath)).toBe(false)
    await run({ checkpointPath, outputPath, canResume: true })
    expect(await hashExport(outputPath)).toEqual(await undisturbed(checkpointPath))
  })
})

describe('the device worker', () => {
  test.each([
    ['dies', 'exit', 'WORKER_CRASHED'],
    ['cannot read', 'EIO', 'READ_FAILED'],
  ] as const)('one that %s ends the run, which can be continued', async (_name, kind, code) => {
    const checkpointPath = await smallCheckpoint()
    const outputPath = join(await temporaryFolder(), 'export')
    // The smoke test reads the three parts of one expert in a thread of its own.
    const environment = await faulty(join(outputPath, '..'), 'device', { call: 'readSync', at: 5, kind })
    const failing = run({ checkpointPath, outputPath, recipe: CALIBRATED, environment })
    await expect(failing).rejects.toMatchObject({ code })
    expect(existsSync(`${outputPath}.partial`)).toBe(true)
    await run({ checkpointPath, outputPath, recipe: CALIBRATED, canResume: true })
    expect(await hashExport(outputPath)).toEqual(await undisturbed(checkpointPath, CALIBRATED))
  })
})

describe('a source that changes while it is read', () => {
  const changes: readonly (readonly [string, (path: string) => Promise<void>, RegExp])[] = [
    [
      'grows',
      async (path) => {
        await writeFile(path, new Uint8Array(8), { flag: 'a' })
      },
      /it had \d+ bytes and has \d+/,
    ],
    [
      'is touched',
      async (path) => {
        await utimes(path, 1, 1)
      },
      /it was written at 1970-01-01T00:00:01/,
    ],
    [
      'gets another header with its old time',
      async (path) => {
        const { atime, mtime } = await stat(path)
        const handle = await open(path, 'r+')
        await handle.write(' ', 9)
        await handle.close()
        await utimes(path, atime, mtime)
      },
      /its header is another one/,
    ],
    [
      'is replaced by a copy',
      async (path) => {
        const { atime, mtime } = await stat(path)
        await copyFile(path, `${path}.new`)
        await utimes(`${path}.new`, atime, mtime)
        await rename(`${path}.new`, path)
      },
      /another file has its name now/,
    ],
  ]

  test.each(changes)('a shard that %s', async (_name, change, problem) => {
    const checkpointPath = await smallCheckpoint()
    const shards = (await readdir(checkpointPath)).filter((name) => name.endsWith('.safetensors')).sort()
    const path = join(checkpointPath, shards.at(-1) ?? '')
    const outputPath = join(await temporaryFolder(), 'export')
    let changing: Promise<void> | undefined
    const observer = {
      ...silentObserver(() => false),
      stageProgress: (): void => {
        changing ??= change(path)
      },
    }
    await expect(run({ checkpointPath, outputPath, observer })).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
      problem: expect.stringMatching(problem) as string,
    })
    await changing
    expect(existsSync(outputPath)).toBe(false)
  })
})

describe('an unfinished run is continued only as what it was', () => {
  async function unfinished(recipe: string): Promise<{ checkpointPath: string; outputPath: string }> {
    const checkpointPath = await smallCheckpoint()
    const outputPath = join(await temporaryFolder(), 'export')
    let isStopped = false
    const observer = {
      ...silentObserver(() => isStopped),
      stageProgress: (stage: string): void => {
        isStopped ||= stage === 'export'
      },
    }
    await expect(run({ checkpointPath, outputPath, recipe, observer })).rejects.toMatchObject({
      code: 'CANCELLED',
    })
    return { checkpointPath, outputPath }
  }

  test('another version is refused with both', async () => {
    const { checkpointPath, outputPath } = await unfinished(DATA_FREE)
    const environment = { ...TEST_ENVIRONMENT, version: '9.9.9' }
    await expect(run({ checkpointPath, outputPath, environment, canResume: true })).rejects.toMatchObject({
      code: 'RESUME_MISMATCH',
      problem: expect.stringMatching(/version changed; version was 0\.0\.0-test, is 9\.9\.9/) as string,
    })
  })

  test('another recipe is refused with both', async () => {
    const { checkpointPath, outputPath } = await unfinished(DATA_FREE)
    await expect(run({ checkpointPath, outputPath, recipe: 'mxfp8', canResume: true })).rejects.toMatchObject(
      {
        code: 'RESUME_MISMATCH',
        problem: expect.stringMatching(
          /plan, recipe changed; recipe was nvfp4_experts_only_input_scale1-kv_fp8_cast .*, is mxfp8 /,
        ) as string,
      },
    )
  })

  test('a source written since is refused, naming the shard', async () => {
    const { checkpointPath, outputPath } = await unfinished(DATA_FREE)
    const [shard = ''] = (await readdir(checkpointPath))
      .filter((name) => name.endsWith('.safetensors'))
      .sort()
    await utimes(join(checkpointPath, shard), 5, 5)
    await expect(run({ checkpointPath, outputPath, canResume: true })).rejects.toMatchObject({
      code: 'RESUME_MISMATCH',
      problem: expect.stringContaining(`source ${shard} changed; source ${shard} was `) as string,
    })
  })

  test('data written since is refused', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'data'))
    const calibrationPath = join(folder, 'data', 'text.txt')
    await writeFile(calibrationPath, 'Some words to calibrate with. '.repeat(200))
    const checkpointPath = await smallCheckpoint()
    const outputPath = join(folder, 'export')
    const options = {
      ...DEFAULT_RUN_OPTIONS,
      recipe: CALIBRATED,
      workers: 1,
      samples: 2,
      sequenceLength: 64,
      device: 'cpu' as const,
    }
    const request = { checkpointPath, outputPath, calibrationPath, options }
    await expect(
      runJob(request, TEST_ENVIRONMENT, {
        ...silentObserver(),
        isCancelled: () => existsSync(`${outputPath}.partial/quantmill/lock`),
      }),
    ).rejects.toMatchObject({ code: 'CANCELLED' })
    await writeFile(calibrationPath, 'Other words of another length. '.repeat(200))
    await expect(
      runJob({ ...request, canResume: true }, TEST_ENVIRONMENT, silentObserver()),
    ).rejects.toMatchObject({
      code: 'RESUME_MISMATCH',
      problem: expect.stringMatching(/data changed; data was 6000 bytes, .* is 6200 bytes, /) as string,
    })
  })
})

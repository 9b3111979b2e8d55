import { mkdir, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { EventHub } from '../../../../main/ipc/event-hub.ts'
import { createHandlers } from '../../../../main/ipc/handlers/all.ts'
import type { Surface } from '../../../../main/ipc/surface.ts'
import type { HostApi } from '../../../../main/host/host-api.ts'
import { PathGrants } from '../../../../main/security/path-grants.ts'
import { DEFAULT_RUN_OPTIONS } from '../../../../shared/domain/run-options.ts'
import { createFakeHost, fakeSnapshot, type FakeHost } from '../../../fakes/fake-host.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

let home = ''
let host: FakeHost
let grants: PathGrants
const options = { ...DEFAULT_RUN_OPTIONS, recipe: 'nvfp4' }

function surface(changes: Partial<Surface> = {}, overrides: Partial<HostApi> = {}): Surface {
  host = createFakeHost(overrides)
  return {
    kind: 'electron',
    version: '1.2.3',
    cpuCount: 2,
    grants,
    host: host.api,
    sampleFolder: join(home, 'sample'),
    exportsFolder: join(home, 'exports'),
    ...changes,
  }
}

beforeEach(async () => {
  home = await realpath(await temporaryFolder())
  grants = new PathGrants({ homeFolder: home })
  await mkdir(join(home, 'model'))
  await mkdir(join(home, 'target'))
  await writeFile(join(home, 'data.txt'), '')
  await writeFile(join(home, 'mine.yaml'), 'name: mine\n')
})

const grantId = async (name: string, purpose: Parameters<PathGrants['grant']>[1]): Promise<string> =>
  (await grants.grant(join(home, name), purpose)).grantId

test('a run gets real paths for every grant of its request', async () => {
  const revealed: string[] = []
  const handlers = createHandlers(surface({ revealFolder: (path) => revealed.push(path) }))
  const { jobId } = await handlers['job.start']({
    grantId: await grantId('model', 'checkpoint'),
    options,
    calibrationGrantId: await grantId('data.txt', 'calibration'),
    outputGrantId: await grantId('target', 'output'),
    outputName: 'model-nvfp4',
  })
  expect(host.calls).toEqual([
    {
      route: 'job.start',
      input: {
        checkpointPath: join(home, 'model'),
        outputPath: join(home, 'target', 'model-nvfp4'),
        calibrationPath: join(home, 'data.txt'),
        canOverwrite: false,
        canResume: false,
        options,
      },
    },
  ])
  await handlers['report.reveal']({ jobId })
  expect(revealed).toEqual([join(home, 'target', 'model-nvfp4')])
})

test('grants for another purpose start nothing', async () => {
  const handlers = createHandlers(surface())
  const checkpoint = await grantId('model', 'checkpoint')
  const request = { grantId: checkpoint, options, outputName: 'out', outputGrantId: checkpoint }
  await expect(handlers['job.start'](request)).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
  expect(host.calls).toEqual([])
})

test('a recipe grant in place of a recipe name brings the text of the file', async () => {
  const handlers = createHandlers(surface())
  const recipe = await grantId('mine.yaml', 'recipe')
  await handlers['plan.make']({
    grantId: await grantId('model', 'checkpoint'),
    options: { ...options, recipe },
  })
  expect(host.calls[0]?.input).toMatchObject({ options: { recipe: 'mine', recipeText: 'name: mine\n' } })
})

test('a recipe file that is too long or no text is refused', async () => {
  const handlers = createHandlers(surface())
  await writeFile(join(home, 'long.yaml'), 'x'.repeat(1_000_001))
  await writeFile(join(home, 'binary.yaml'), new Uint8Array([0xff, 0xfe]))
  const checkpoint = await grantId('model', 'checkpoint')
  for (const name of ['long.yaml', 'binary.yaml']) {
    const recipe = await grantId(name, 'recipe')
    const request = { grantId: checkpoint, options: { ...options, recipe } }
    await expect(handlers['plan.make'](request)).rejects.toMatchObject({ code: 'RECIPE_INVALID' })
  }
})

test('a closed dialog grants nothing', async () => {
  const handlers = createHandlers(surface({ pickPath: () => Promise.resolve(undefined) }))
  expect(await handlers['grant.pick']({ purpose: 'checkpoint' })).toBeUndefined()
})

// The window must open although the engine host cannot start, or nobody could read why.
test('the surroundings are told even when the host fails, and the host is asked again later', async () => {
  let attempts = 0
  const handlers = createHandlers(
    surface(
      {},
      {
        'device.list': () => {
          attempts += 1
          return attempts === 1
            ? Promise.reject(new Error('no driver'))
            : Promise.resolve([{ device: 'cpu', isAvailable: true, detail: '' }])
        },
      },
    ),
  )
  expect((await handlers['app.get_info']({})).hasSample).toBe(false)
  // The window waits for the surroundings, so nothing slow may be asked for them.
  expect(attempts).toBe(0)
  const first = await handlers['app.list_devices']({})
  expect(first).toHaveLength(3)
  expect(first[0]).toMatchObject({ device: 'cpu', isAvailable: false })
  expect(await handlers['app.list_devices']({})).toEqual([{ device: 'cpu', isAvailable: true, detail: '' }])
  await handlers['app.list_devices']({})
  expect(attempts).toBe(2)
})

const failure = {
  kind: 'failed',
  error: {
    code: 'INVARIANT',
    kind: 'bug',
    subject: 's',
    problem: 'p',
    remedy: 'r',
    stack: 'at /opt/app/main.js',
    further: [
      {
        code: 'DISK_FULL',
        kind: 'environment',
        subject: 's',
        problem: 'p',
        remedy: 'r',
        stack: 'at /opt/app/main.js',
      },
    ],
  },
} as const

test('stacks of failed jobs stay in main, nothing else does', async () => {
  const failed = fakeSnapshot('j_1', { state: failure })
  const handlers = createHandlers(
    surface({}, { 'job.get': () => Promise.resolve(failed), 'job.list': () => Promise.resolve([failed]) }),
  )
  const hub = new EventHub()
  const heard: unknown[] = []
  hub.subscribe((_event, payload) => heard.push(payload))
  hub.emitFromHost('job.snapshot', failed)
  const seen = JSON.stringify([
    await handlers['job.get']({ jobId: 'j_1' }),
    await handlers['job.list']({}),
    heard,
  ])
  expect(seen).toContain('"code":"INVARIANT"')
  // Problems that were found together stay together.
  expect(seen.split('"code":"DISK_FULL"')).toHaveLength(4)
  expect(seen).not.toContain('/opt/app')
})

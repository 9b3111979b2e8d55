/**
 * Unfinished runs through the contract. A removal of something that is not ours, a path taken from a folder instead of from a grant, or a
 * listing that walks into a link would show here.
 */
import { existsSync } from 'node:fs'
import { mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { listPartials, removePartialRun } from '../../../../main/host/jobs/partial-runs.ts'
import { createHandlers } from '../../../../main/ipc/handlers/all.ts'
import type { HandlerTable } from '../../../../main/ipc/handler-table.ts'
import { PathGrants } from '../../../../main/security/path-grants.ts'
import { DEFAULT_RUN_OPTIONS } from '../../../../shared/domain/run-options.ts'
import { createFakeHost, type FakeHost } from '../../../fakes/fake-host.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

const OPTIONS = { ...DEFAULT_RUN_OPTIONS, recipe: 'nvfp4_default-kv_fp8' }
const HEAD = `${JSON.stringify({ schema: 1, identity: { version: '1' } })}\n`
const TASK = `${JSON.stringify({ task: 0, result: { hashes: [], deadWeights: [] } })}\n`

let home = ''
let grants: PathGrants
let host: FakeHost
let handlers: HandlerTable

beforeEach(async () => {
  home = await realpath(await temporaryFolder())
  grants = new PathGrants({ homeFolder: home })
  host = createFakeHost({
    'partial.list': ({ folders }) => listPartials(folders),
    'partial.remove': ({ partialPath }) => removePartialRun(partialPath),
  })
  handlers = createHandlers({
    kind: 'electron',
    version: '1',
    cpuCount: 1,
    grants,
    host: host.api,
    sampleFolder: join(home, 'sample'),
    exportsFolder: join(home, 'exports'),
  })
  for (const name of ['model', 'exports']) await mkdir(join(home, name))
})

interface Unfinished {
  readonly journal?: string
  readonly record?: unknown
  readonly lock?: string
}

async function unfinished(
  name: string,
  { journal = HEAD + TASK, record, lock }: Unfinished = {},
): Promise<string> {
  const own = join(home, 'exports', `${name}.partial`, 'quantmill')
  await mkdir(own, { recursive: true })
  await writeFile(join(own, 'journal.jsonl'), journal)
  const recorded = record ?? {
    schema: 1,
    checkpointPath: join(home, 'model'),
    options: OPTIONS,
    taskCount: 4,
  }
  await writeFile(join(own, 'run.json'), JSON.stringify(recorded))
  if (lock !== undefined) await writeFile(join(own, 'lock'), lock)
  return join(own, '..')
}

test('an unfinished run is told with recipe, progress, size and what it needs', async () => {
  const path = await unfinished('tiny')
  await writeFile(join(path, 'model.safetensors'), new Uint8Array(100_000).fill(1))
  const [run] = await handlers['job.partials']({})
  expect(run).toMatchObject({
    name: 'tiny',
    displayPath: '~/exports/tiny.partial',
    state: 'resumable',
    problem: undefined,
    recipe: 'nvfp4_default-kv_fp8',
    checkpointName: 'model',
    doneTasks: 1,
    totalTasks: 4,
    checkpointGrantId: undefined,
    needs: [{ purpose: 'checkpoint', displayPath: '~/model' }],
  })
  expect(run?.sizeBytes).toBeGreaterThan(99_999)
  expect(run?.sizeBytes).toBeLessThan(200_000)
})

test('a run is continued with the recorded options once its checkpoint is granted', async () => {
  await unfinished('tiny')
  const [before] = await handlers['job.partials']({})
  const partialId = before?.partialId ?? ''
  await expect(handlers['job.resume_partial']({ partialId })).rejects.toMatchObject({
    code: 'GRANT_UNKNOWN',
    subject: '~/model',
  })
  const { grantId } = await grants.grant(join(home, 'model'), 'checkpoint')
  const [after] = await handlers['job.partials']({})
  expect(after).toMatchObject({ partialId, checkpointGrantId: grantId, needs: [] })
  await handlers['job.resume_partial']({ partialId })
  expect(host.calls.at(-1)).toEqual({
    route: 'job.start',
    input: {
      checkpointPath: join(home, 'model'),
      outputPath: join(home, 'exports', 'tiny'),
      options: OPTIONS,
      calibrationPath: undefined,
      canResume: true,
      canOverwrite: false,
    },
  })
})

test('a data file that the run names is asked for too', async () => {
  await writeFile(join(home, 'data.txt'), 'text')
  const paths = { checkpointPath: join(home, 'model'), calibrationPath: join(home, 'data.txt') }
  await unfinished('tiny', { record: { schema: 1, ...paths, options: OPTIONS, taskCount: 4 } })
  const { grantId } = await grants.grant(join(home, 'model'), 'checkpoint')
  const [run] = await handlers['job.partials']({})
  expect(run?.needs).toEqual([{ purpose: 'calibration', displayPath: '~/data.txt' }])
  const request = { partialId: run?.partialId ?? '', grantId }
  await expect(handlers['job.resume_partial'](request)).rejects.toMatchObject({ subject: '~/data.txt' })
  const data = await grants.grant(join(home, 'data.txt'), 'calibration')
  await handlers['job.resume_partial']({ ...request, calibrationGrantId: data.grantId })
  expect(host.calls.at(-1)?.input).toMatchObject({ calibrationPath: join(home, 'data.txt') })
})

test('a run without a record that can be understood is listed, and removed, but not continued from here', async () => {
  const path = await unfinished('tiny', { record: { schema: 1, checkpointPath: 7 } })
  const [run] = await handlers['job.partials']({})
  expect(run).toMatchObject({ state: 'resumable', recipe: undefined, totalTasks: undefined, doneTasks: 1 })
  const partialId = run?.partialId ?? ''
  await expect(handlers['job.resume_partial']({ partialId })).rejects.toMatchObject({
    code: 'JOURNAL_INVALID',
  })
  await handlers['job.remove_partial']({ partialId })
  expect(existsSync(path)).toBe(false)
  expect(await handlers['job.partials']({})).toEqual([])
})

test('a damaged journal is said to be one', async () => {
  await unfinished('torn', { journal: '' })
  await unfinished('wrong', { journal: 'not a journal\n' })
  const states = (await handlers['job.partials']({})).map(({ name, state, problem }) => [
    name,
    state,
    problem,
  ])
  expect(states.sort()).toEqual([
    ['torn', 'damaged', 'its journal is empty'],
    ['wrong', 'damaged', 'line 1 is not JSON'],
  ])
})

// Killed before its journal was begun, or after it was removed and before the export got its name: still listed with its size, and removable.
test.each(['lock', 'run.json', 'receipt.json'])(
  'a run of which only %s is left is listed and can be removed',
  async (name) => {
    const path = join(home, 'exports', 'early.partial')
    await mkdir(join(path, 'quantmill'), { recursive: true })
    await writeFile(join(path, 'quantmill', name), '{}')
    await writeFile(join(path, 'model.safetensors'), new Uint8Array(50_000).fill(1))
    const [run] = await handlers['job.partials']({})
    expect(run).toMatchObject({
      ...{ name: 'early', state: 'damaged', doneTasks: 0 },
      problem: 'it has no journal: it was ended in its first moments, or in its last',
    })
    expect(run?.sizeBytes).toBeGreaterThanOrEqual(50_000)
    await handlers['job.remove_partial']({ partialId: run?.partialId ?? '' })
    expect(existsSync(path)).toBe(false)
  },
)

test('a run that somebody writes now is neither removed nor called resumable', async () => {
  const stat = process.platform === 'linux' ? await readFile(`/proc/${String(process.pid)}/stat`, 'utf8') : ''
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  const path = await unfinished('tiny', { lock: JSON.stringify({ pid: process.pid, started }) })
  const [run] = await handlers['job.partials']({})
  expect(run?.state).toBe('running')
  const partialId = run?.partialId ?? ''
  await expect(handlers['job.remove_partial']({ partialId })).rejects.toMatchObject({ code: 'OUTPUT_IN_USE' })
  expect(existsSync(path)).toBe(true)
})

test('the lock of a process that died, or whose number another one has now, holds nothing', async () => {
  await unfinished('dead', { lock: JSON.stringify({ pid: 2 ** 22 + 1, started: '5' }) })
  await unfinished('torn', { lock: '{"pid":' })
  if (process.platform === 'linux')
    await unfinished('other', { lock: `{"pid":${String(process.pid)},"started":"1"}` })
  const states = new Set((await handlers['job.partials']({})).map(({ state }) => state))
  expect([...states]).toEqual(['resumable'])
})

test('folders that only look like unfinished runs are neither listed nor removed', async () => {
  const exports = join(home, 'exports')
  await mkdir(join(exports, 'empty.partial'))
  await writeFile(join(exports, 'file.partial'), '')
  const real = await unfinished('real')
  await symlink(real, join(exports, 'link.partial'))
  await mkdir(join(exports, 'inner.partial'))
  await symlink(join(real, 'quantmill'), join(exports, 'inner.partial', 'quantmill'))
  expect((await handlers['job.partials']({})).map(({ name }) => name)).toEqual(['real'])
  for (const name of ['empty.partial', 'link.partial', 'inner.partial']) {
    await expect(removePartialRun(join(exports, name))).rejects.toMatchObject({ code: 'PARTIAL_UNKNOWN' })
  }
  await expect(removePartialRun(join(home, 'model'))).rejects.toMatchObject({ code: 'PARTIAL_UNKNOWN' })
  expect(existsSync(join(real, 'quantmill', 'journal.jsonl'))).toBe(true)
})

test('without a folder, the places are those that this session knows; with one, only that', async () => {
  await mkdir(join(home, 'elsewhere'))
  const target = await grants.grant(join(home, 'elsewhere'), 'output')
  await grants.grant(join(home, 'model'), 'checkpoint')
  await handlers['job.partials']({})
  expect(host.calls.at(-1)?.input).toEqual({
    folders: [join(home, 'exports'), join(home, 'elsewhere'), home],
  })
  await handlers['job.partials']({ outputGrantId: target.grantId })
  expect(host.calls.at(-1)?.input).toEqual({ folders: [join(home, 'elsewhere')] })
})

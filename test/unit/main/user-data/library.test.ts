import { mkdir, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { createHandlers } from '../../../../main/ipc/handlers/all.ts'
import type { HandlerTable } from '../../../../main/ipc/handler-table.ts'
import { PathGrants } from '../../../../main/security/path-grants.ts'
import { UserData } from '../../../../main/user-data/user-data.ts'
import type { CheckpointSummary } from '../../../../shared/domain/checkpoint-summary.ts'
import { DEFAULT_RUN_OPTIONS } from '../../../../shared/domain/run-options.ts'
import { createFakeHost, type FakeHost } from '../../../fakes/fake-host.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

let home = ''
let host: FakeHost
const options = { ...DEFAULT_RUN_OPTIONS, recipe: 'nvfp4' }

/** A start of the program: nothing but the file of settings is left of the one before. */
function start(): { handlers: HandlerTable; grants: PathGrants } {
  const grants = new PathGrants({ homeFolder: home })
  const summary = { name: 'model', displayPath: '', family: 'qwen3_5_moe', totalBytes: 5 }
  host = createFakeHost({ 'checkpoint.open': () => Promise.resolve(summary as CheckpointSummary) })
  const handlers = createHandlers({
    kind: 'browser',
    version: '0',
    cpuCount: 1,
    grants,
    host: host.api,
    sampleFolder: join(home, 'sample'),
    exportsFolder: join(home, 'exports'),
    userData: new UserData(join(home, 'settings.json')),
  })
  return { handlers, grants }
}

async function openAndRun(): Promise<void> {
  const { handlers, grants } = start()
  const { grantId } = await grants.grant(join(home, 'model'), 'checkpoint')
  await handlers['checkpoint.open']({ grantId })
  await handlers['job.start']({ grantId, options, outputName: 'model-nvfp4' })
}

const listed = async ({ handlers }: { handlers: HandlerTable }): Promise<readonly string[]> =>
  (await handlers['library.list']({})).map(
    ({ kind, name, state, family, recipe, sizeBytes }) =>
      `${kind} ${name} ${state} ${family ?? '-'} ${recipe ?? '-'} ${String(sizeBytes)}`,
  )

beforeEach(async () => {
  home = await realpath(await temporaryFolder())
  await mkdir(join(home, 'model'))
  await writeFile(join(home, 'model', 'config.json'), '12345')
})

test('after a restart the last export comes first, with what is on disk now', async () => {
  await openAndRun()
  const checkpoint = 'checkpoint model present qwen3_5_moe - 5'
  expect(await listed(start())).toEqual(['export model-nvfp4 missing - nvfp4 undefined', checkpoint])
  await mkdir(join(home, 'model-nvfp4.partial'))
  expect(await listed(start())).toEqual(['export model-nvfp4 unfinished - nvfp4 undefined', checkpoint])
  await rename(join(home, 'model-nvfp4.partial'), join(home, 'model-nvfp4'))
  await writeFile(join(home, 'model-nvfp4', 'config.json'), '123')
  expect(await listed(start())).toEqual(['export model-nvfp4 present - nvfp4 3', checkpoint])
})

test('an entry that is there opens with its grant; one that is not has none and can be forgotten', async () => {
  await openAndRun()
  const again = start()
  const [output, checkpoint] = await again.handlers['library.list']({})
  expect(output?.grant).toBeUndefined()
  const grantId = checkpoint?.grant?.grantId ?? ''
  expect(await again.grants.resolve(grantId, 'checkpoint')).toBe(join(home, 'model'))
  await expect(again.grants.resolve(grantId, 'output')).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
  await again.handlers['library.forget']({ entryId: output?.entryId ?? '' })
  expect(await listed(start())).toEqual(['checkpoint model present qwen3_5_moe - 5'])
})

// The grant was for the real folder: a link in its place could lead anywhere.
test('a folder that a link has replaced counts as missing', async () => {
  await openAndRun()
  await rename(join(home, 'model'), join(home, 'elsewhere'))
  await symlink(join(home, 'elsewhere'), join(home, 'model'), 'junction')
  const [, checkpoint] = await start().handlers['library.list']({})
  expect(checkpoint).toMatchObject({ state: 'missing', grant: undefined })
})

test('unfinished runs of earlier sessions are looked for where those wrote', async () => {
  await mkdir(join(home, 'target'))
  const { handlers, grants } = start()
  await handlers['job.start']({
    grantId: (await grants.grant(join(home, 'model'), 'checkpoint')).grantId,
    outputGrantId: (await grants.grant(join(home, 'target'), 'output')).grantId,
    options,
    outputName: 'out',
  })
  await start().handlers['job.partials']({})
  expect(host.calls.at(-1)?.input).toMatchObject({ folders: expect.arrayContaining([join(home, 'target')]) })
})

test('settings keep an output folder and named calibration files as grants', async () => {
  await mkdir(join(home, 'target'))
  await writeFile(join(home, 'chat.jsonl'), '')
  const { handlers, grants } = start()
  await handlers['settings.set_output_folder']({
    outputGrantId: (await grants.grant(join(home, 'target'), 'output')).grantId,
  })
  const { grantId } = await grants.grant(join(home, 'chat.jsonl'), 'calibration')
  await handlers['settings.add_calibration_set']({ grantId, name: 'Chats' })
  await handlers['settings.update']({ change: { device: 'cpu', workers: undefined } })

  const again = start()
  const settings = await again.handlers['settings.get']({})
  expect(settings.preferences).toMatchObject({ device: 'cpu', workers: 0 })
  expect(settings.outputFolder?.displayPath).toBe('~/target')
  const outputId = settings.outputFolder?.grant?.grantId ?? ''
  expect(await again.grants.resolve(outputId, 'output')).toBe(join(home, 'target'))
  const [set] = settings.calibrationSets
  expect(set).toMatchObject({ name: 'Chats', displayPath: '~/chat.jsonl', grant: { purpose: 'calibration' } })
  await rm(join(home, 'chat.jsonl'))
  expect((await start().handlers['settings.get']({})).calibrationSets[0]?.grant).toBeUndefined()
  await again.handlers['settings.remove_calibration_set']({ setId: set?.setId ?? '' })
  expect((await start().handlers['settings.get']({})).calibrationSets).toEqual([])
})

test('a grant for another purpose becomes no setting', async () => {
  const { handlers, grants } = start()
  const { grantId } = await grants.grant(join(home, 'model'), 'checkpoint')
  for (const attempt of [
    handlers['settings.set_output_folder']({ outputGrantId: grantId }),
    handlers['settings.add_calibration_set']({ grantId, name: 'x' }),
  ]) {
    await expect(attempt).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
  }
  expect(await handlers['settings.get']({})).toMatchObject({ outputFolder: undefined, calibrationSets: [] })
})

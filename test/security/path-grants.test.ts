import { chmod, mkdir, realpath, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { outputPathOf } from '../../main/ipc/output-path.ts'
import { PathGrants } from '../../main/security/path-grants.ts'
import { temporaryFolder } from '../tools/temporary-folder.ts'

let home = ''
let grants = new PathGrants({ homeFolder: '/' })

beforeEach(async () => {
  home = await realpath(await temporaryFolder())
  grants = new PathGrants({ homeFolder: home })
  await mkdir(join(home, 'model', 'inner'), { recursive: true })
  await mkdir(join(home, 'exports'))
  await writeFile(join(home, 'data.txt'), 'text')
})

test('the page gets an unguessable id and a shortened path, nothing else', async () => {
  const grant = await grants.grant(join(home, 'model'), 'checkpoint')
  expect(grant).toEqual({
    grantId: expect.stringMatching(/^g_[A-Za-z0-9_-]{32}$/) as string,
    purpose: 'checkpoint',
    displayPath: '~/model',
    name: 'model',
  })
  expect(await grants.resolve(grant.grantId, 'checkpoint')).toBe(join(home, 'model'))
})

// A read grant must not become a place to write to, and the reverse.
test.each(['output', 'calibration', 'recipe'] as const)(
  'a checkpoint grant is no %s grant',
  async (purpose) => {
    const { grantId } = await grants.grant(join(home, 'model'), 'checkpoint')
    await expect(grants.resolve(grantId, purpose)).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
  },
)

test.each(['g_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '__proto__', '', '/etc'])(
  'invented id %s opens nothing',
  async (id) => {
    await expect(grants.resolve(id, 'checkpoint')).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
  },
)

test('grants of another surface are unknown here', async () => {
  const { grantId } = await new PathGrants({ homeFolder: home }).grant(join(home, 'model'), 'checkpoint')
  await expect(grants.resolve(grantId, 'checkpoint')).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
})

test('a link is resolved when it is granted, so turning it later changes nothing', async () => {
  await symlink(join(home, 'model'), join(home, 'link'))
  const { grantId } = await grants.grant(join(home, 'link'), 'checkpoint')
  await rename(join(home, 'link'), join(home, 'link.old'))
  await symlink('/', join(home, 'link'))
  expect(await grants.resolve(grantId, 'checkpoint')).toBe(join(home, 'model'))
})

test('a granted folder that was replaced by a link is refused', async () => {
  const { grantId } = await grants.grant(join(home, 'exports'), 'output')
  await rename(join(home, 'exports'), join(home, 'exports.old'))
  await symlink('/', join(home, 'exports'))
  await expect(grants.resolve(grantId, 'output')).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
})

test.each([
  ['missing', 'checkpoint', 'CHECKPOINT_NOT_FOUND'],
  ['data.txt', 'checkpoint', 'CHECKPOINT_NOT_FOUND'],
  ['data.txt', 'output', 'WRITE_FAILED'],
  ['model', 'calibration', 'CALIBRATION_DATA_INVALID'],
  ['model', 'recipe', 'RECIPE_INVALID'],
] as const)('%s cannot be granted as %s', async (name, purpose, code) => {
  await expect(grants.grant(join(home, name), purpose)).rejects.toMatchObject({ code })
})

test('the same path and purpose give the same grant, another purpose another one', async () => {
  const first = await grants.grant(join(home, 'exports'), 'output')
  expect(await grants.grant(`${home}/exports/../exports/`, 'output')).toBe(first)
  expect((await grants.grant(join(home, 'exports'), 'checkpoint')).grantId).not.toBe(first.grantId)
})

test('a folder named like the home folder with more letters is not shortened', () => {
  expect(grants.display(`${home}-other/x`)).toBe(`${home}-other/x`)
  expect(grants.display(home)).toBe('~')
})

const choice = (
  changes: Partial<Parameters<typeof outputPathOf>[0]>,
): Parameters<typeof outputPathOf>[0] => ({
  checkpointPath: join(home, 'model'),
  grantedFolder: undefined,
  outputName: 'out',
  sampleFolder: join(home, 'sample'),
  exportsFolder: join(home, 'made', 'exports'),
  ...changes,
})

test('without a grant the export goes beside the checkpoint', async () => {
  expect(await outputPathOf(choice({}))).toBe(join(home, 'out'))
})

test('the sample belongs to the installation: its exports go to the folder for exports', async () => {
  expect(await outputPathOf(choice({ sampleFolder: join(home, 'model') }))).toBe(
    join(home, 'made', 'exports', 'out'),
  )
})

test('beside a read-only folder the export goes to the folder for exports', async ({ skip }) => {
  if (process.getuid?.() === 0) skip('nothing is read-only for root')
  await mkdir(join(home, 'readonly', 'model'), { recursive: true })
  await chmod(join(home, 'readonly'), 0o555)
  const checkpointPath = join(home, 'readonly', 'model')
  expect(await outputPathOf(choice({ checkpointPath }))).toBe(join(home, 'made', 'exports', 'out'))
})

test.each(['model', 'model/inner'])('an export into %s, the source, is refused', async (name) => {
  await expect(outputPathOf(choice({ grantedFolder: join(home, name) }))).rejects.toMatchObject({
    code: 'OUTPUT_INSIDE_SOURCE',
  })
})

import { mkdir, realpath, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { FolderList } from '../../main/serve/folder-list.ts'
import type { FolderListing } from '../../shared/domain/app-info.ts'
import { temporaryFolder } from '../tools/temporary-folder.ts'

let top = ''
let list: FolderList

beforeEach(async () => {
  top = await realpath(await temporaryFolder())
  const root = join(top, 'root')
  await mkdir(join(root, 'model'), { recursive: true })
  await mkdir(join(root, 'Folder 10'))
  await mkdir(join(root, 'Folder 2'))
  await mkdir(join(root, '.hidden'))
  await mkdir(join(top, 'outside'))
  await mkdir(join(top, 'root-sibling'))
  await writeFile(join(root, 'model', 'config.json'), '{}')
  await writeFile(join(root, 'model', 'model.safetensors'), '')
  await writeFile(join(root, 'data.txt'), 'abc')
  await writeFile(join(root, '.secret'), '')
  await symlink(join(top, 'outside'), join(root, 'leads-out'))
  await symlink(join(root, 'model'), join(root, 'leads-in'))
  list = new FolderList({ roots: [root, join(top, 'missing')], display: (path) => path.slice(top.length) })
})

const idOf = ({ entries }: FolderListing, name: string): string =>
  entries.find((entry) => entry.name === name)?.entryId ?? ''

test('without an entry the roots that exist are listed', async () => {
  const listing = await list.list(undefined)
  expect(listing.displayPath).toBe('')
  expect(listing.parentEntryId).toBeUndefined()
  expect(listing.entries.map(({ name }) => name)).toEqual(['/root'])
})

test('a folder shows folders first, in human order; neither hidden files nor links that lead out', async () => {
  const listing = await list.list(idOf(await list.list(undefined), '/root'))
  expect(
    listing.entries.map(({ name, kind, sizeBytes, isCheckpoint }) => [name, kind, sizeBytes, isCheckpoint]),
  ).toEqual([
    ['Folder 2', 'folder', 0, false],
    ['Folder 10', 'folder', 0, false],
    ['model', 'folder', 0, true],
    ['data.txt', 'file', 3, false],
    ['leads-in', 'folder', 0, true],
  ])
})

test('one can go back up to the list of roots, and not above it', async () => {
  const root = await list.list(idOf(await list.list(undefined), '/root'))
  const model = await list.list(idOf(root, 'model'))
  const back = await list.list(model.parentEntryId)
  expect(back.displayPath).toBe('/root')
  expect((await list.list(back.parentEntryId)).displayPath).toBe('')
})

// Catches ids that are paths in disguise, ids that can be guessed, and a folder that was exchanged after it was listed.
test.each(['e_0', 'e_1', 'e_L2V0Yw', 'e_..', '__proto__'])(
  'invented entry %s opens nothing',
  async (entryId) => {
    await list.list(idOf(await list.list(undefined), '/root'))
    await expect(list.list(entryId)).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
    await expect(list.pathOf(entryId)).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
  },
)

test('ids hold 128 random bits', async () => {
  const { entries } = await list.list(idOf(await list.list(undefined), '/root'))
  expect(entries.filter(({ entryId }) => !/^e_[A-Za-z0-9_-]{22}$/.test(entryId))).toEqual([])
  expect(new Set(entries.map(({ entryId }) => entryId.slice(2, 8))).size).toBeGreaterThan(3)
})

test.each(['outside', 'root/model'])(
  'a listed folder that became a link to %s is refused',
  async (target) => {
    const root = await list.list(idOf(await list.list(undefined), '/root'))
    const entryId = idOf(root, 'Folder 2')
    await rename(join(top, 'root', 'Folder 2'), join(top, 'moved'))
    await symlink(join(top, target), join(top, 'root', 'Folder 2'))
    await expect(list.pathOf(entryId)).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' })
  },
)

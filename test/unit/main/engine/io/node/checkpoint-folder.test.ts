/** The folder is the boundary to hostile downloads: links and pipes must not lead the program out of what the user chose. */
import { execFileSync } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { NodeCheckpointFolder } from '../../../../../../main/engine/io/node/checkpoint-folder.ts'
import { errorOf } from '../../../../../tools/expect-error.ts'
import { temporaryFolder } from '../../../../../tools/temporary-folder.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** `<root>/models--x/snapshots/abc` with a blob store, as a hub cache lays it out. */
async function hubCache(): Promise<{ root: string; snapshot: string; blobs: string }> {
  const root = await temporaryFolder()
  const snapshot = join(root, 'models--x', 'snapshots', 'abc')
  const blobs = join(root, 'models--x', 'blobs')
  await mkdir(snapshot, { recursive: true })
  await mkdir(blobs)
  return { root, snapshot, blobs }
}

test('lists files, folders and others by name', async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'b.txt'), 'four')
  await writeFile(join(folder, 'a.txt'), '')
  await mkdir(join(folder, 'inner'))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  const entries = await new NodeCheckpointFolder(folder).list()
  expect(entries.map(({ name, kind }) => [name, kind])).toEqual([
    ['a.txt', 'file'],
    ['b.txt', 'file'],
    ['inner', 'folder'],
    ['pipe', 'other'],
  ])
  expect(entries[1]?.sizeBytes).toBe(4)
})

test('reads ranges, and says when a file ends early', async () => {
  const path = await temporaryFolder()
  await writeFile(join(path, 'a'), '0123456789')
  const folder = new NodeCheckpointFolder(path)
  expect(text(await folder.readRange('a', 3, 4))).toBe('3456')
  expect(text(await folder.readAll('a', 10))).toBe('0123456789')
  expect((await folder.readRange('a', 10, 0)).length).toBe(0)
  expect(await errorOf(() => folder.readRange('a', 8, 3))).toMatchObject({
    code: 'SAFETENSORS_TRUNCATED',
    subject: 'a',
  })
  expect((await errorOf(() => folder.readAll('a', 9))).code).toBe('FILE_TOO_LARGE')
  expect((await errorOf(() => folder.readAll('none', 9))).code).toBe('READ_FAILED')
  expect(await folder.sizeOf('none')).toBeUndefined()
})

test('a pipe is refused instead of waited for', async () => {
  const path = await temporaryFolder()
  execFileSync('mkfifo', [join(path, 'model.safetensors')])
  const folder = new NodeCheckpointFolder(path)
  expect((await errorOf(() => folder.readRange('model.safetensors', 0, 8))).code).toBe('READ_FAILED')
  expect((await errorOf(() => folder.readAll('model.safetensors', 8))).code).toBe('READ_FAILED')
})

describe('links', () => {
  test('into the blob store of a hub cache and inside the folder are followed', async () => {
    const { snapshot, blobs } = await hubCache()
    await writeFile(join(blobs, 'f00d'), 'blob')
    await symlink('../../blobs/f00d', join(snapshot, 'model.safetensors'))
    await symlink('model.safetensors', join(snapshot, 'same'))
    const folder = new NodeCheckpointFolder(snapshot)
    expect(text(await folder.readAll('model.safetensors', 10))).toBe('blob')
    expect(text(await folder.readAll('same', 10))).toBe('blob')
    expect(folder.pathOf('same')).toBe(join(blobs, 'f00d'))
    expect((await folder.list()).map(({ sizeBytes }) => sizeBytes)).toEqual([4, 4])
  })

  test('the folder itself may be a link', async () => {
    const { root, snapshot } = await hubCache()
    await writeFile(join(snapshot, 'a'), 'text')
    await symlink(snapshot, join(root, 'link'))
    expect(text(await new NodeCheckpointFolder(join(root, 'link')).readAll('a', 10))).toBe('text')
  })

  test.each(['../../../secret', '../../blobs-of-another/secret', '../other/secret'])(
    'to %s are refused',
    async (target) => {
      const { root, snapshot } = await hubCache()
      await mkdir(join(root, 'models--x', 'blobs-of-another'))
      await mkdir(join(root, 'models--x', 'snapshots', 'other'))
      await writeFile(join(snapshot, target), 'secret')
      await symlink(target, join(snapshot, 'config.json'))
      const folder = new NodeCheckpointFolder(snapshot)
      for (const action of [
        () => folder.list(),
        () => folder.sizeOf('config.json'),
        () => folder.readAll('config.json', 100),
        () => folder.readRange('config.json', 0, 6),
        () => folder.pathOf('config.json'),
      ]) {
        const error = await errorOf(action)
        expect(error.code).toBe('PATH_ESCAPES_CHECKPOINT')
        expect(error.subject).toBe(join(snapshot, 'config.json'))
      }
    },
  )

  test('that lead nowhere are files that are missing', async () => {
    const { snapshot } = await hubCache()
    await symlink('../../blobs/gone', join(snapshot, 'model.safetensors'))
    expect(await new NodeCheckpointFolder(snapshot).list()).toEqual([])
  })
})

test.each(['../a', 'a/b', 'a\\b', '..', '.', '', 'a\0'])('the name "%s" is not a name', async (name) => {
  const folder = new NodeCheckpointFolder(await temporaryFolder())
  expect((await errorOf(() => folder.readRange(name, 0, 1))).code).toBe('PATH_ESCAPES_CHECKPOINT')
  expect((await errorOf(() => folder.pathOf(name))).code).toBe('PATH_ESCAPES_CHECKPOINT')
})

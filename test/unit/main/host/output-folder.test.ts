/** Losing or half-writing a user's files starts here. */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkOutput, createPartial, createShard, publish } from '../../../../main/host/jobs/output-folder.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

const NEW = { canOverwrite: false, canResume: false }
const OVERWRITE = { canOverwrite: true, canResume: false }
const withCode = (code: string): unknown => expect.objectContaining({ code })

async function folders(): Promise<{ root: string; source: string }> {
  const root = await temporaryFolder()
  const source = join(root, 'source')
  await mkdir(source)
  return { root, source }
}

describe('checkOutput', () => {
  test('refuses the source, its inside and its ancestors, also through links', async () => {
    const { root, source } = await folders()
    await symlink(source, join(root, 'alias'))
    await expect(checkOutput(source, source, OVERWRITE)).rejects.toEqual(withCode('OUTPUT_INSIDE_SOURCE'))
    await expect(checkOutput(join(source, 'new/deep'), source, OVERWRITE)).rejects.toEqual(
      withCode('OUTPUT_INSIDE_SOURCE'),
    )
    await expect(checkOutput(join(root, 'alias/new'), source, OVERWRITE)).rejects.toEqual(
      withCode('OUTPUT_INSIDE_SOURCE'),
    )
    await expect(checkOutput(root, source, OVERWRITE)).rejects.toEqual(withCode('SOURCE_INSIDE_OUTPUT'))
  })

  test('a sibling whose name starts like the source is fine', async () => {
    const { source } = await folders()
    await expect(checkOutput(`${source}-nvfp4`, source, NEW)).resolves.toMatchObject({
      finalPath: `${source}-nvfp4`,
    })
  })

  test('refuses a folder with content and an unfinished run, unless overwriting is asked for', async () => {
    const { root, source } = await folders()
    const out = join(root, 'out')
    await mkdir(`${out}.partial`)
    await writeFile(join(`${out}.partial`, 'x'), '')
    await expect(checkOutput(out, source, NEW)).rejects.toEqual(withCode('OUTPUT_NOT_EMPTY'))
    await expect(checkOutput(out, source, OVERWRITE)).resolves.toBeDefined()
  })
})

test('publish replaces an older export in one step and leaves no partial folder', async () => {
  const { root, source } = await folders()
  const out = join(root, 'out')
  await mkdir(out)
  await writeFile(join(out, 'old.txt'), 'old')
  const folder = await checkOutput(out, source, OVERWRITE)
  await createPartial(folder)
  await writeFile(join(folder.partialPath, 'new.txt'), 'new')
  expect(await readFile(join(out, 'old.txt'), 'utf8')).toBe('old')
  await publish(folder)
  expect(await readFile(join(out, 'new.txt'), 'utf8')).toBe('new')
  expect(existsSync(join(out, 'old.txt'))).toBe(false)
  expect(existsSync(folder.partialPath)).toBe(false)
})

test('a shard is never written over something that exists', async () => {
  const path = join(await temporaryFolder(), 'model.safetensors')
  await writeFile(path, 'precious')
  await expect(createShard(path, 100, new Uint8Array(8))).rejects.toEqual(withCode('WRITE_FAILED'))
  expect(await readFile(path, 'utf8')).toBe('precious')
})

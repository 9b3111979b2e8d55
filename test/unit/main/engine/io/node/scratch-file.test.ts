/** The scratch file on disk: what was written comes back from where it was written, and nothing is left behind. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NodeScratchFile } from '../../../../../../main/engine/io/node/scratch-file.ts'
import { errorOf } from '../../../../../tools/expect-error.ts'
import { temporaryFolder } from '../../../../../tools/temporary-folder.ts'

test('bytes come back from anywhere in it, and are counted', async () => {
  const file = new NodeScratchFile(join(await temporaryFolder(), 'scratch'))
  file.write(Uint8Array.of(1, 2, 3, 4), 5_000_000_000) // beyond 32 bits
  file.write(Uint8Array.of(9), 5_000_000_001)
  const read = new Uint8Array(3)
  file.read(read, 5_000_000_001)
  expect([...read]).toEqual([9, 3, 4])
  expect([file.bytesWritten, file.bytesRead]).toEqual([5, 3])
  file.close()
})

test('nothing is left when it is closed; what an earlier process left is replaced', async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'scratch'), 'of a killed run')
  const file = new NodeScratchFile(join(folder, 'scratch'))
  const error = await errorOf(() =>
    Promise.resolve().then(() => {
      file.read(new Uint8Array(1), 0)
    }),
  )
  expect([error.code, error.kind]).toEqual(['READ_FAILED', 'environment'])
  file.close()
  file.close()
  expect(await readdir(folder)).toEqual([])
})

test('a folder that is not there is named', async () => {
  const path = join(await temporaryFolder(), 'gone', 'scratch')
  const error = await errorOf(() => Promise.resolve().then(() => new NodeScratchFile(path)))
  expect([error.code, error.subject]).toEqual(['WRITE_FAILED', path])
})

/** Bounds of the checks before a run: one that never fires, or that refuses what fits, would show here. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkDisk } from '../../../../main/host/preflight/check-disk.ts'
import { checkMemory } from '../../../../main/host/preflight/check-memory.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

const GIB = 2 ** 30

test.each([
  ['fits beside everything else', 4, 16, 8, undefined],
  ['fits, but not now', 9, 16, 8, 'warning'],
  ['the system does not say what is free', 9, 16, undefined, undefined],
  ['its least measured share is all there is', 25, 16, 8, 'warning'],
  ['even its least measured share is too much', 26, 16, 8, 'error'],
] as const)('memory: %s', (_name, peak, total, available, severity) => {
  const memory = {
    totalBytes: total * GIB,
    availableBytes: available === undefined ? undefined : available * GIB,
  }
  const found = checkMemory(peak * GIB, memory)
  expect(found?.severity).toBe(severity)
  if (found !== undefined) expect(found.error.code).toBe('MEMORY_SHORT')
})

test('disk: more than there is, with both numbers', async () => {
  const outputPath = join(await temporaryFolder(), 'export')
  await expect(checkDisk(outputPath, 2 ** 60)).rejects.toMatchObject({
    code: 'DISK_FULL',
    problem: expect.stringMatching(/^the export needs 1,048,576 TiB, .* are free$/) as string,
  })
  await checkDisk(outputPath, 1000)
})

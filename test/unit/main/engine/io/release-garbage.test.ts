/** Results of runs that are dropped but not collected added up to hundreds of megabytes, more for longer calibrations. */
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { collectResults } from '../../../../../main/engine/io/node/release-garbage.ts'

const MIB = 1024 * 1024

async function isCollectedAfter(counted: readonly number[]): Promise<boolean> {
  const dropped = new WeakRef(new ArrayBuffer(MIB))
  // A WeakRef holds its target until the task that made it has ended.
  await wait(0)
  const count = collectResults()
  for (const sizeBytes of counted) count(sizeBytes)
  return dropped.deref() === undefined
}

test('64 MiB of results in one run or in several are collected', async () => {
  expect(await isCollectedAfter([64 * MIB])).toBe(true)
  expect(await isCollectedAfter([20 * MIB, 20 * MIB, 24 * MIB])).toBe(true)
})

/** However many threads compare the weights, the report is the same to the last digit; and a thread that dies is an error, not a silent pass. */
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import { comparerMaker } from '../../../main/host/checks/matrix-pool.ts'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { readExport, writeShard } from '../../tools/read-export.ts'
import { runForTest, TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

function verify(path: string, workerCount: number, verifyWorkerFile = TEST_ENVIRONMENT.verifyWorkerFile) {
  const environment = { verifyWorkerFile, cpuCount: 1 }
  const makeComparer = workerCount === 0 ? undefined : comparerMaker(environment, workerCount)
  const source = new NodeCheckpointFolder(SAMPLE)
  const read: [string, number][] = []
  return verifyExport(new NodeCheckpointFolder(path), {
    source,
    makeComparer,
    onMatrixError: (module, error) => read.push([module, error]),
  }).then((report) => ({ report, read }))
}

const exported = runForTest({ options: { recipe: 'nvfp4_experts_only_input_scale1-kv_fp8_cast' } })

test('the same report from this thread, one thread and three', async () => {
  const { outputPath } = await exported
  const [here, one, three] = [
    await verify(outputPath, 0),
    await verify(outputPath, 1),
    await verify(outputPath, 3),
  ]
  expect(here.report.isSound).toBe(true)
  // 4 layers x 32 experts x 3 matrices.
  expect([here.report.comparedMatrixCount, here.read.length]).toEqual([384, 384])
  expect(one).toEqual(here)
  expect(three).toEqual(here)
})

test('a wrong weight is found in the same words', async () => {
  const { outputPath } = await exported
  const damaged = join(await temporaryFolder(), 'damaged')
  await cp(outputPath, damaged, { recursive: true })
  const name = 'model.language_model.layers.2.mlp.experts.17.up_proj.weight'
  const tensors = await readExport(damaged)
  // Both values of a byte become the largest code, 6, instead of what they were.
  tensors.get(name)?.bytes.fill(0x77, 1000, 1001)
  await writeShard(damaged, tensors)
  const errorsOf = ({ report }: { report: VerifyReport }) =>
    report.findings.filter(({ rule }) => rule === 'source.error')
  const here = await verify(damaged, 0)
  expect(errorsOf(here).map(({ subject }) => subject)).toEqual([name.replace(/\.weight$/, '')])
  expect(await verify(damaged, 3)).toEqual(here)
})

test('a thread that dies ends the check with an error', async () => {
  const { outputPath } = await exported
  const file = join(await temporaryFolder(), 'dying.mjs')
  await writeFile(
    file,
    "import { parentPort } from 'node:worker_threads'\nparentPort.on('message', () => process.exit(9))\n",
  )
  await expect(verify(outputPath, 2, file)).rejects.toMatchObject({ code: 'WORKER_CRASHED' })
})

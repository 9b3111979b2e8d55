/** Every byte of the source is read once, whatever the vocabulary: embedding rows are needed for calibration and for the export. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeSampleCheckpoint } from '../../../main/engine/io/node/write-sample-checkpoint.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'
import { writeTokenIds } from '../../tools/token-ids-file.ts'

/** Embeddings are a third of this checkpoint, and the tokens name about a fifth of them. */
const NUMBERS = {
  hiddenSize: 64,
  expertCount: 4,
  topK: 2,
  expertWidth: 32,
  vocabSize: 4096,
  headDim: 32,
  layerCount: 2,
  fullAttentionInterval: 2,
}

test('many different tokens of a large vocabulary', async () => {
  const folder = await temporaryFolder()
  const checkpointPath = join(folder, 'sample')
  await writeSampleCheckpoint({ shape: 'tiny', folder: checkpointPath, numbers: NUMBERS, hasVision: false })
  const ids = Int32Array.from({ length: 1024 }, (_, index) => (index * 2647) % NUMBERS.vocabSize)
  const calibrationPath = join(folder, 'ids.safetensors')
  await writeTokenIds(calibrationPath, ids, 64)
  const { report } = await runForTest({
    checkpointPath,
    calibrationPath,
    options: { recipe: 'nvfp4_experts_only-kv_fp8', samples: 16, sequenceLength: 64 },
  })
  expect(report.calibratedTokens).toBe(1024)
  expect(report.bytesRead / report.sourceBytes).toBeGreaterThanOrEqual(1)
  expect(report.bytesRead / report.sourceBytes).toBeLessThanOrEqual(1.02)
})

/** A checkpoint with few tensors, so that a run of it makes few file calls: one layer, four experts, two shards. */
import { join } from 'node:path'
import { writeSampleCheckpoint } from '../../../main/engine/io/node/write-sample-checkpoint.ts'
import { SAMPLE } from '../sample-path.ts'
import { temporaryFolder } from '../temporary-folder.ts'

export async function smallCheckpoint(): Promise<string> {
  const folder = join(await temporaryFolder(), 'small')
  await writeSampleCheckpoint({
    shape: 'tiny',
    folder,
    layerCount: 1,
    tokenizerFolder: SAMPLE,
    maxShardBytes: 1_000_000,
    numbers: { expertCount: 4 },
    hasVision: false,
    mtpLayout: 'none',
  })
  return folder
}

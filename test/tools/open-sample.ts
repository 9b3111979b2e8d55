/** The sample checkpoint, opened and recognised. */
import { join } from 'node:path'
import type { Checkpoint } from '../../main/engine/checkpoint/checkpoint.ts'
import { openCheckpoint } from '../../main/engine/checkpoint/open-checkpoint.ts'
import { NodeCheckpointFolder } from '../../main/engine/io/node/checkpoint-folder.ts'
import type { MoeModel } from '../../main/engine/models/moe-model.ts'
import { recogniseModel } from '../../main/engine/models/recognise-model.ts'

const SAMPLE_FOLDER = join(import.meta.dirname, '../../assets/sample/tiny-qwen3.5-moe')

export async function openSample(): Promise<{ checkpoint: Checkpoint; model: MoeModel }> {
  const checkpoint = await openCheckpoint(new NodeCheckpointFolder(SAMPLE_FOLDER))
  return { checkpoint, model: recogniseModel(checkpoint) }
}

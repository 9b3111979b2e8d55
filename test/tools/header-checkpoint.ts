/** A checkpoint that has headers but no files: enough for adapters and planner, for any shape up to the largest released one. */
import { tensorSizeBytes } from '../../shared/domain/dtype.ts'
import type { Checkpoint, TensorSlice } from '../../main/engine/checkpoint/checkpoint.ts'
import type { MoeModel } from '../../main/engine/models/moe-model.ts'
import { recogniseModel } from '../../main/engine/models/recognise-model.ts'
import { sampleConfig } from '../../main/engine/sample/sample-config.ts'
import type { SampleLayout } from '../../main/engine/sample/sample-options.ts'
import {
  SHAPE_NUMBERS,
  type SampleNumbers,
  type SampleShape,
} from '../../main/engine/sample/sample-shapes.ts'
import { sampleTensors } from '../../main/engine/sample/sample-tensors.ts'

export interface HeaderLayout extends Partial<Omit<SampleLayout, 'numbers'>> {
  readonly shape?: SampleShape
  readonly numbers?: Partial<SampleNumbers>
}

/** One shard that holds everything; tensors in the order they are stored by name, as in released checkpoints. */
export function headerCheckpoint({ shape = 'tiny', numbers, ...layout }: HeaderLayout = {}): {
  checkpoint: Checkpoint
  model: MoeModel
} {
  const full: SampleLayout = {
    expertLayout: 'fused',
    prefix: 'nested',
    mtpLayout: 'fused',
    hasHead: true,
    hasVision: true,
    stateDtype: 'F32',
    ...layout,
    numbers: { ...SHAPE_NUMBERS[shape], ...numbers },
  }
  const tensors = new Map<string, TensorSlice>()
  let offsetBytes = 0
  const sorted = [...sampleTensors(full)].sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const { name, dtype, shape: size } of sorted) {
    const sizeBytes = tensorSizeBytes(dtype, size)
    tensors.set(name, { name, dtype, shape: size, shardIndex: 0, offsetBytes, sizeBytes })
    offsetBytes += sizeBytes
  }
  const checkpoint: Checkpoint = {
    folder: {
      displayPath: 'header-only',
      list: () => Promise.resolve([]),
      readAll: () => Promise.reject(new Error('there are no files')),
      readRange: () => Promise.reject(new Error('there are no files')),
      sizeOf: () => Promise.resolve(undefined),
    },
    config: sampleConfig(full),
    shards: [],
    tensors,
    sideFiles: [],
    totalTensorBytes: offsetBytes,
  }
  return { checkpoint, model: recogniseModel(checkpoint) }
}

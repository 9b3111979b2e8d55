/**
 * The growing list of output tensors of a plan. A tensor gets its shard and offset only when all are known; tasks may hold it before.
 */
import { tensorSizeBytes, type Dtype } from '../../../shared/domain/dtype.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { buildShardHeader } from '../formats/safetensors/build-header.ts'
import { assignShards, shardFileName } from './assign-shards.ts'
import type { StoredTransform } from '../quant/packing.ts'
import type { ExportTask, PlannedActivationScale, PlannedShard, PlannedTensor } from './export-plan.ts'

/** A planned tensor while its place is not known yet. */
export interface DraftTensor extends PlannedTensor {
  shardIndex: number
  offsetBytes: number
}

/** `Omit` that keeps the members of a union apart. */
type WithoutIndex<T> = T extends unknown ? Omit<T, 'taskIndex'> : never
export type DraftTask = WithoutIndex<ExportTask>

/** Everything a plan collects while the model's export order is walked, in state-dict order. */
export class PlanDraft {
  readonly tensors: DraftTensor[] = []
  readonly tasks: DraftTask[] = []
  readonly activationScales: PlannedActivationScale[] = []
  /** Elements of parameters, as the index file counts them. */
  parameterCount = 0
  quantizedSourceBytes = 0
  quantizedOutputBytes = 0
  /** Calibration sites that a given dump lacks and the profile does not allow to be absent. */
  readonly missingSites: string[] = []
  private nextIndex: number

  /** `firstIndex` = state-dict position of the first tensor. */
  constructor(firstIndex = 0) {
    this.nextIndex = firstIndex
  }

  /** `parameters` = elements that count as parameters; 0 for scales and for what the model does not load. */
  add(
    name: string,
    dtype: Dtype,
    shape: readonly number[],
    parameters: number,
    transform?: StoredTransform,
  ): DraftTensor {
    const sizeBytes = tensorSizeBytes(dtype, shape)
    const index = this.nextIndex++
    const place = { name, index, dtype, shape, sizeBytes, shardIndex: -1, offsetBytes: -1 }
    const tensor = transform === undefined ? place : { ...place, transform }
    this.tensors.push(tensor)
    this.parameterCount += parameters
    return tensor
  }

  /** Gives every tensor its shard and offset and returns the shards with their headers. Throws SHARD_SIZE_INVALID, TENSOR_NAME_UNKNOWN. */
  place(maxShardSizeBytes: number): readonly PlannedShard[] {
    const assigned = assignShards(
      this.tensors.map(({ sizeBytes }) => sizeBytes),
      maxShardSizeBytes,
    )
    return this.placeAs(assigned, (shardIndex) => shardFileName(shardIndex, assigned.length))
  }

  /** The same for a given assignment: positions of tensors by shard. Throws TENSOR_NAME_UNKNOWN. */
  placeAs(
    assigned: readonly (readonly number[])[],
    fileName: (shardIndex: number) => string,
  ): readonly PlannedShard[] {
    this.assertUniqueNames()
    return assigned.map((positions, shardIndex) => {
      const members = positions.flatMap((position) => this.tensors[position] ?? [])
      const { header, dataStartBytes, fileSizeBytes, offsets } = buildShardHeader(members)
      for (const tensor of members) {
        tensor.shardIndex = shardIndex
        tensor.offsetBytes = dataStartBytes + (offsets.get(tensor.name)?.beginBytes ?? 0)
      }
      return { fileName: fileName(shardIndex), sizeBytes: fileSizeBytes, header }
    })
  }

  private assertUniqueNames(): void {
    const names = new Set<string>()
    for (const { name } of this.tensors) {
      if (names.has(name)) {
        throw new AppError('TENSOR_NAME_UNKNOWN', {
          subject: name,
          problem: 'the export would have two tensors of this name',
          remedy: 'remove the surplus tensor from the checkpoint',
        })
      }
      names.add(name)
    }
  }
}

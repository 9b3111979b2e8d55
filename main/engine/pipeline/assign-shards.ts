/**
 * Which tensor goes into which shard. Pure arithmetic on sizes in state-dict order.
 * Source: rule of the sharder in huggingface_hub as measured in exports: an oversized tensor becomes a shard of its own at once while the
 * current shard stays open, so later tensors can end up in an earlier-opened, higher-numbered shard.
 */
import { AppError } from '../../../shared/errors/app-error.ts'

/** Shards as lists of positions in `sizesBytes`, in file order. Sizes count tensor bytes, not headers. Throws SHARD_SIZE_INVALID. */
export function assignShards(
  sizesBytes: readonly number[],
  maxShardSizeBytes: number,
): readonly (readonly number[])[] {
  if (!Number.isSafeInteger(maxShardSizeBytes) || maxShardSizeBytes < 1) {
    throw new AppError('SHARD_SIZE_INVALID', {
      subject: 'max shard size',
      problem: `${String(maxShardSizeBytes)} is not a whole number of bytes above 0`,
      remedy: 'give a size such as 10GB',
    })
  }
  const shards: number[][] = []
  let current: number[] = []
  let currentBytes = 0
  for (const [index, sizeBytes] of sizesBytes.entries()) {
    if (sizeBytes > maxShardSizeBytes) {
      shards.push([index])
      continue
    }
    if (currentBytes + sizeBytes > maxShardSizeBytes) {
      shards.push(current)
      current = []
      currentBytes = 0
    }
    current.push(index)
    currentBytes += sizeBytes
  }
  if (current.length > 0) shards.push(current)
  return shards
}

/** `model.safetensors` for a single shard, else `model-00001-of-000NN.safetensors`. `index` counts from 0. */
export function shardFileName(index: number, count: number): string {
  if (count === 1) return 'model.safetensors'
  const number = (value: number): string => String(value).padStart(5, '0')
  return `model-${number(index + 1)}-of-${number(count)}.safetensors`
}

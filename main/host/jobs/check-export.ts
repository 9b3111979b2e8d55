/**
 * Reads the finished shards back before they are published: the header on disk must be the planned one, byte for byte, and every F32 scale
 * finite and positive (hardened profile). `verify` is the full check with engine rules.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import type { ExportPlan, PlannedTensor } from '../../engine/pipeline/export-plan.ts'

const SCALE_SUFFIX =
  /\.(weight_scale|weight_scale_2|weight_global_scale|input_scale|input_global_scale|k_scale|v_scale)$/

/** Throws READ_BACK_MISMATCH naming the first shard that is not as planned, or a scale that no engine could use. */
export async function checkPublished(partialPath: string, plan: ExportPlan): Promise<void> {
  const folder = new NodeCheckpointFolder(partialPath)
  for (const [shardIndex, { fileName, sizeBytes, header }] of plan.shards.entries()) {
    if ((await folder.sizeOf(fileName)) !== sizeBytes) throw mismatch(fileName, 'its size')
    const found = await folder.readRange(fileName, 0, header.length)
    if (Buffer.compare(found, header) !== 0) throw mismatch(fileName, 'its header')
    if (plan.profile === 'hardened') await checkScales(folder, fileName, shardIndex, plan.tensors)
  }
}

/** F32 scales lie together at the start of a shard (dtype order), so one read covers them. */
async function checkScales(
  folder: NodeCheckpointFolder,
  fileName: string,
  shardIndex: number,
  tensors: Iterable<PlannedTensor>,
): Promise<void> {
  const isScale = (tensor: PlannedTensor): boolean =>
    tensor.shardIndex === shardIndex && tensor.dtype === 'F32' && SCALE_SUFFIX.test(tensor.name)
  let begin = Infinity
  let end = 0
  for (const tensor of tensors) {
    if (!isScale(tensor)) continue
    begin = Math.min(begin, tensor.offsetBytes)
    end = Math.max(end, tensor.offsetBytes + tensor.sizeBytes)
  }
  if (end === 0) return
  const bytes = await folder.readRange(fileName, begin, end - begin)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const tensor of tensors) {
    if (!isScale(tensor)) continue
    for (let at = 0; at < tensor.sizeBytes; at += 4) {
      const value = view.getFloat32(tensor.offsetBytes - begin + at, true)
      if (!Number.isFinite(value) || value <= 0) throw mismatch(tensor.name, `scale ${String(value)}`)
    }
  }
}

function mismatch(subject: string, what: string): AppError {
  return new AppError('READ_BACK_MISMATCH', {
    subject,
    problem: `what was written is not what was planned (${what})`,
    remedy: 'check the disk, run again, and report this if it happens twice',
  })
}

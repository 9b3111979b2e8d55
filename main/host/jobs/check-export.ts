/**
 * Reads the finished shards back before they are published: headers must parse and equal the plan, and every F32 scale must be finite
 * (and positive in the hardened profile). The full verifier with engine rules is a later, separate command.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import { parseShardHeader } from '../../engine/formats/safetensors/parse-header.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import type { ExportPlan, PlannedTensor } from '../../engine/pipeline/export-plan.ts'

const SCALE_SUFFIX =
  /\.(weight_scale|weight_scale_2|weight_global_scale|input_scale|input_global_scale|k_scale|v_scale)$/

/** Throws READ_BACK_MISMATCH naming the first tensor that is not as planned, or a scale that no engine could use. */
export async function checkPublished(partialPath: string, plan: ExportPlan): Promise<void> {
  const folder = new NodeCheckpointFolder(partialPath)
  const byShard = new Map<number, PlannedTensor[]>()
  for (const tensor of plan.tensors) {
    const list = byShard.get(tensor.shardIndex)
    if (list === undefined) byShard.set(tensor.shardIndex, [tensor])
    else list.push(tensor)
  }
  for (const [shardIndex, shard] of plan.shards.entries()) {
    const head = await folder.readRange(shard.fileName, 0, shard.header.length)
    const header = parseShardHeader(head, shard.fileName, shard.sizeBytes)
    const planned = byShard.get(shardIndex) ?? []
    if (header.tensors.length !== planned.length) throw mismatch(shard.fileName, 'number of tensors')
    const found = new Map(header.tensors.map((tensor) => [tensor.name, tensor]))
    for (const tensor of planned) {
      const entry = found.get(tensor.name)
      if (entry?.dtype !== tensor.dtype || header.dataStartBytes + entry.beginBytes !== tensor.offsetBytes) {
        throw mismatch(tensor.name, 'place or dtype')
      }
    }
    await checkScales(folder, shard.fileName, planned, plan)
  }
}

/** F32 scales lie together at the start of a shard (dtype order), so one or a few reads cover them. */
async function checkScales(
  folder: NodeCheckpointFolder,
  fileName: string,
  planned: readonly PlannedTensor[],
  plan: ExportPlan,
): Promise<void> {
  if (plan.profile !== 'hardened') return
  const scales = planned.filter((tensor) => tensor.dtype === 'F32' && SCALE_SUFFIX.test(tensor.name))
  if (scales.length === 0) return
  const begin = Math.min(...scales.map((tensor) => tensor.offsetBytes))
  const end = Math.max(...scales.map((tensor) => tensor.offsetBytes + tensor.sizeBytes))
  const bytes = await folder.readRange(fileName, begin, end - begin)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const tensor of scales) {
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

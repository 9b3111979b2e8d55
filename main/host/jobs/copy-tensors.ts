/**
 * Tensors outside the layers that calibration needs and the export copies as they are: the copies are made first, and calibration reads them
 * there, so that no byte of the source is read twice.
 */
import type { TensorSlice } from '../../engine/checkpoint/checkpoint.ts'
import type { ExportPlan, ExportTask } from '../../engine/pipeline/export-plan.ts'
import type { CopiedTensor } from '../../workers/copied-tensors.ts'
import type { ExportSweep } from './export-sweep.ts'

/** Those of `wanted` that are not copied byte for byte are left out. `descriptors` = open output files. Throws what the tasks throw. */
export async function copyTensors(
  sweep: ExportSweep,
  { tasks }: Pick<ExportPlan, 'tasks'>,
  wanted: readonly TensorSlice[],
  descriptors: readonly number[],
): Promise<readonly CopiedTensor[]> {
  const names = new Set(wanted.map(({ name }) => name))
  const copies: { readonly task: ExportTask; readonly copy: CopiedTensor }[] = []
  for (const task of tasks) {
    if (task.kind !== 'copy' || !names.has(task.source.name) || !isPlain(task)) continue
    const { shardIndex, offsetBytes } = task.output
    const descriptor = descriptors[shardIndex] ?? -1
    copies.push({ task, copy: { source: task.source, descriptor, offsetBytes } })
  }
  await sweep.runNow(copies.map(({ task }) => task))
  return copies.map(({ copy }) => copy)
}

function isPlain({ convertTo, table, output }: Extract<ExportTask, { kind: 'copy' }>): boolean {
  return convertTo === undefined && table === undefined && output.transform === undefined
}

import type { TensorSlice } from '../../engine/checkpoint/checkpoint.ts'
import type { ExportTask } from '../../engine/pipeline/export-plan.ts'

/** Where a task reads. */
export function taskSources(task: ExportTask): readonly TensorSlice[] {
  return task.kind === 'copy' ? [task.source] : task.members.map(({ source }) => source)
}

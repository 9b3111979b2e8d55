/** What each kind of check does. */
import type { CheckResult } from '../../../shared/domain/check.ts'
import { openCheckpoint } from '../../engine/checkpoint/open-checkpoint.ts'
import { inspectTensor } from '../../engine/checkpoint/inspect-tensor.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import type { CheckpointFolder } from '../../engine/io/ports.ts'
import { compareCheckpoints } from '../../engine/verify/compare/compare-checkpoints.ts'
import { verifyExport } from '../../engine/verify/verify-export.ts'
import type { HostCheckRequest } from '../host-api.ts'
import { requireFolder } from '../jobs/prepare-run.ts'
import { recordVerification } from '../report/report-files.ts'
import { verifyOutcome } from '../report/verify-outcome.ts'
import type { JobEnvironment } from '../jobs/job-observer.ts'
import { CountingFolder } from './counting-folder.ts'
import { comparerMaker } from './matrix-pool.ts'

export interface CheckControl {
  readonly isCancelled: () => boolean
  readonly progress: (doneBytes: number, totalBytes: number) => void
  /** Of the build; undefined = everything in this thread. */
  readonly environment?: Pick<JobEnvironment, 'verifyWorkerFile' | 'cpuCount'> | undefined
}

export async function runCheck(request: HostCheckRequest, control: CheckControl): Promise<CheckResult> {
  switch (request.kind) {
    case 'verify':
      return verify(request, control)
    case 'compare': {
      const [left, right] = (await countedFolders([request.leftPath, request.rightPath], control)).folders
      return { kind: 'compare', report: await compareCheckpoints(left, right, control) }
    }
    case 'inspect': {
      const checkpoint = await openCheckpoint(new NodeCheckpointFolder(request.checkpointPath))
      const totalBytes = checkpoint.tensors.get(request.tensor)?.sizeBytes ?? 0
      let doneBytes = 0
      const folder = new CountingFolder(checkpoint.folder, (sizeBytes) => {
        doneBytes += sizeBytes
        control.progress(doneBytes, totalBytes)
      })
      const counted = { ...checkpoint, folder }
      return {
        kind: 'inspect',
        inspection: await inspectTensor(counted, request.tensor, control.isCancelled),
      }
    }
  }
}

async function verify(
  { exportPath, sourcePath, shouldRecord }: Extract<HostCheckRequest, { kind: 'verify' }>,
  control: CheckControl,
): Promise<CheckResult> {
  const paths = sourcePath === undefined ? [exportPath] : [exportPath, sourcePath]
  const counted = await countedFolders(paths, control)
  const [folder, source] = counted.folders
  const { environment, isCancelled } = control
  const makeComparer = environment && comparerMaker(environment, environment.cpuCount, counted.onRead)
  const report = await verifyExport(folder, { source, isCancelled, makeComparer })
  const outcome = verifyOutcome(report, sourcePath === undefined ? 'values' : 'source')
  if (shouldRecord) await recordVerification(exportPath, outcome)
  return { kind: 'verify', outcome }
}

interface Counted<F> {
  readonly folders: F
  /** Counts what others have read of them. */
  readonly onRead: (sizeBytes: number) => void
}

/** Folders that count towards one progress: all weight files are read once. Throws CHECKPOINT_NOT_FOUND. */
async function countedFolders<P extends readonly string[]>(
  paths: P,
  { progress }: CheckControl,
): Promise<Counted<[CheckpointFolder, CheckpointFolder]>> {
  let totalBytes = 0
  let doneBytes = 0
  const onRead = (sizeBytes: number): void => {
    doneBytes += sizeBytes
    progress(doneBytes, totalBytes)
  }
  const folders: CheckpointFolder[] = []
  for (const path of paths) {
    await requireFolder(path)
    const folder = new NodeCheckpointFolder(path)
    for (const { name, sizeBytes } of await folder.list()) {
      if (name.endsWith('.safetensors')) totalBytes += sizeBytes
    }
    folders.push(new CountingFolder(folder, onRead))
  }
  return { folders: folders as [CheckpointFolder, CheckpointFolder], onRead }
}

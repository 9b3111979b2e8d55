/**
 * Calibration states at layer boundaries. The device worker writes one between two layers; it is made durable and journalled while the next
 * layer runs. Two files take turns, so that a kill at any moment leaves the last state that was journalled, and costs at most the layer
 * that ran and the one whose state was not durable yet.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { LayerQuality } from '../../../shared/domain/quality-report.ts'
import { writeCalibrationDump } from '../../engine/calibration/amax-dump.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { FileSeal } from '../../engine/io/node/boundary-file.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { DeviceKind } from '../../engine/onnx/graph-runtime.ts'
import type { KeptState } from '../../workers/device-protocol.ts'
import type { DeviceClient } from '../pool/device-client.ts'
import { BOUNDARY_FILES, type BoundaryRecord } from './boundary-record.ts'
import type { Journal } from './journal.ts'
import { syncFolder } from './output-folder.ts'
import type { WorkFolder } from './work-folder.ts'

/**
 * On the CPU a layer takes far longer than writing its states. A GPU does a layer in seconds, and its states have to cross the bus first: it
 * keeps one when repeating what came since the last would take longer than this.
 */
const GPU_INTERVAL_MS = 60_000

export class CalibrationBoundaries {
  private readonly folder: string
  private readonly journal: Journal
  private readonly found: readonly BoundaryRecord[]
  private readonly intervalMs: number
  private lastFile: string | undefined
  private lastMs = performance.now()
  private durable: Promise<void> = Promise.resolve()

  constructor(
    { ownPath, journal, boundaries }: Pick<WorkFolder, 'ownPath' | 'journal' | 'boundaries'>,
    device: DeviceKind,
  ) {
    this.folder = ownPath
    this.journal = journal
    this.found = boundaries
    this.intervalMs = device === 'cpu' ? 0 : GPU_INTERVAL_MS
  }

  /** What an earlier attempt kept, newest first. */
  get kept(): readonly KeptState[] {
    return this.found.map(({ file, sizeBytes, sha256 }) => ({
      path: join(this.folder, file),
      sizeBytes,
      sha256,
    }))
  }

  /** The calibration goes on from number `index` of `kept`, which must not be the next to be overwritten. */
  continueFrom(index: number): void {
    this.lastFile = this.found[index]?.file
  }

  /** Keeps the state before layer `layersDone`, unless the last one is recent enough. Throws what writing this or the last one throws. */
  async keep(
    client: DeviceClient,
    layersDone: number,
    stats: CalibrationStats,
    quality: readonly LayerQuality[],
  ): Promise<void> {
    if (performance.now() - this.lastMs < this.intervalMs) return
    await this.durable
    const file = BOUNDARY_FILES.find((name) => name !== this.lastFile) ?? ''
    const dump = writeCalibrationDump(stats)
    const seal = await client.keepState(join(this.folder, file), { layersDone, stats: dump, quality })
    this.lastFile = file
    this.lastMs = performance.now()
    this.durable = this.makeDurable(file, layersDone, seal)
    this.durable.catch(() => undefined) // told by the next `keep` or by `settle`
  }

  /** Waits until the last state is durable. Throws what that threw. */
  settle(): Promise<void> {
    return this.durable
  }

  private async makeDurable(file: string, layersDone: number, seal: FileSeal): Promise<void> {
    const path = join(this.folder, file)
    try {
      const handle = await open(path, 'r+')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
      await syncFolder(this.folder)
    } catch (error: unknown) {
      throw fromFsError(error, path, 'write')
    }
    await this.journal.recordBoundary({ file, layersDone, ...seal })
  }
}

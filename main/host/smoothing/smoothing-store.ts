/**
 * Vectors of the layers that are finished, one file each beside the journal. Once a tensor was written with them they are what the export
 * is made of, whatever later statistics would say; before that, only vectors from the very same statistics are used again.
 */
import { readFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../../shared/errors/app-error.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import {
  parseSmoothingRecord,
  SMOOTHING_FILE,
  writeSmoothingRecord,
  type SmoothingRecord,
} from '../../engine/smoothing/smoothing-record.ts'
import { syncFolder, writeSmallFile } from '../jobs/output-folder.ts'

const LAYER_FILE = /^smoothing-\d{5}\.safetensors$/

export class SmoothingStore {
  private readonly folder: string

  /** `folder` = `quantmill` of the partial export. */
  constructor(folder: string) {
    this.folder = folder
  }

  /** Of the layer, or of all layers where an export was sealed before it failed; undefined when there is none that can be read. */
  async load(layerIndex: number): Promise<SmoothingRecord | undefined> {
    return (await this.read(this.pathOf(layerIndex))) ?? (await this.read(join(this.folder, SMOOTHING_FILE)))
  }

  private async read(path: string): Promise<SmoothingRecord | undefined> {
    try {
      return parseSmoothingRecord(path, await readFile(path))
    } catch (error: unknown) {
      const { code } = fromFsError(error, path, 'read')
      if (code === 'PERMISSION_DENIED') throw error
      return undefined // missing, or cut by a power cut: it is made again
    }
  }

  save(layerIndex: number, record: SmoothingRecord): Promise<void> {
    return writeSmallFile(this.pathOf(layerIndex), writeSmoothingRecord(record))
  }

  /** Makes the names of the files durable. */
  sync(): Promise<void> {
    return syncFolder(this.folder)
  }

  private pathOf(layerIndex: number): string {
    return join(this.folder, `smoothing-${String(layerIndex).padStart(5, '0')}.safetensors`)
  }
}

/** Removes the files of the layers; the export has them in one. */
export async function removeLayerRecords(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (LAYER_FILE.test(name)) await rm(join(folder, name))
}

export function lostRecord(layerIndex: number): AppError {
  return new AppError('JOURNAL_INVALID', {
    subject: `layer ${String(layerIndex)}`,
    problem: 'weights were written with smoothing vectors that are not there any more',
    remedy: 'start the run anew, without --resume',
  })
}

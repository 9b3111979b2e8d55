/** Scratch files of the device worker: one for every pass whose states do not fit, gone when the work that needed them ends. */
import type { StateMemory } from '../engine/calibration/stored-states.ts'
import { NodeScratchFile } from '../engine/io/node/scratch-file.ts'
import type { StatePlaces } from './device-protocol.ts'

export class ScratchOwner {
  private readonly files: NodeScratchFile[] = []

  /** Bytes written since the last `close`. */
  get spilledBytes(): number {
    return this.files.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0)
  }

  stateMemory(places: StatePlaces | undefined): StateMemory | undefined {
    if (places === undefined) return undefined
    return {
      limitBytes: places.limitBytes,
      openScratch: () => {
        const file = new NodeScratchFile(`${places.scratchPath}.${String(this.files.length)}`)
        this.files.push(file)
        return file
      },
    }
  }

  close(): void {
    for (const file of this.files.splice(0)) file.close()
  }
}

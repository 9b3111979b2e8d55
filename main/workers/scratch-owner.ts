/** The scratch file of the device worker: at most one at a time, made when states do not fit, gone when the work that needed it ends. */
import type { StateMemory } from '../engine/calibration/stored-states.ts'
import { NodeScratchFile } from '../engine/io/node/scratch-file.ts'
import type { StatePlaces } from './device-protocol.ts'

export class ScratchOwner {
  private file: NodeScratchFile | undefined

  /** Bytes written since the last `close`. */
  get spilledBytes(): number {
    return this.file?.bytesWritten ?? 0
  }

  /** A pass that takes over from another one, after a GPU was lost, gets a new file. */
  stateMemory(places: StatePlaces | undefined): StateMemory | undefined {
    if (places === undefined) return undefined
    return {
      limitBytes: places.limitBytes,
      openScratch: () => {
        this.close()
        this.file = new NodeScratchFile(places.scratchPath)
        return this.file
      },
    }
  }

  close(): void {
    this.file?.close()
    this.file = undefined
  }
}

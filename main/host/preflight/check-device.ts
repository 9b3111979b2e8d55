/** Whether the device of a calibration computes what it should, with one real expert of the source. */
import { open } from 'node:fs/promises'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { SmokeExpert } from '../../engine/calibration/smoke-expert.ts'
import type { DeviceChoice } from '../../../shared/domain/run-options.ts'
import type { OpenedModel } from '../jobs/prepare-run.ts'
import { DeviceClient } from '../pool/device-client.ts'
import { isGpuLeased } from '../pool/gpu-lease.ts'
import { chooseDevice } from '../pool/probe-devices.ts'

/** Throws DEVICE_UNAVAILABLE, DEVICE_RESULT_WRONG, DEVICE_OUT_OF_MEMORY, DEVICE_LOST, WEIGHT_NOT_FINITE and what reading throws. */
export async function checkDevice(
  choice: DeviceChoice,
  deviceWorkerFile: string,
  opened: OpenedModel,
): Promise<void> {
  const expert = firstExpert(opened)
  if (expert === undefined) return
  // A GPU that another run computes on works, and waiting for it could take hours.
  if (choice !== 'cpu' && isGpuLeased()) return
  const device = await chooseDevice(choice, deviceWorkerFile)
  const descriptors = opened.checkpoint.shards.map(() => -1)
  const handles = new Map<number, Awaited<ReturnType<typeof open>>>()
  try {
    for (const { shardIndex } of [expert.gate, expert.up, expert.down]) {
      if (handles.has(shardIndex)) continue
      const handle = await openShard(opened, shardIndex)
      handles.set(shardIndex, handle)
      descriptors[shardIndex] = handle.fd
    }
    const client = await DeviceClient.start({ workerFile: deviceWorkerFile, device })
    try {
      await client.smoke({ expert, descriptors })
    } finally {
      await client.close()
    }
  } finally {
    await Promise.all([...handles.values()].map((handle) => handle.close()))
  }
}

async function openShard({ folder, checkpoint }: OpenedModel, shardIndex: number) {
  const path = folder.pathOf(checkpoint.shards[shardIndex]?.fileName ?? '')
  return open(path, 'r').catch((error: unknown) => {
    throw fromFsError(error, path, 'read')
  })
}

function firstExpert({ model }: OpenedModel): SmokeExpert | undefined {
  for (const item of model.exportOrder) {
    const [expert] = item.kind === 'experts' ? item.experts : []
    if (expert !== undefined)
      return { config: model.text, gate: expert.gate, up: expert.up, down: expert.down }
  }
  return undefined
}

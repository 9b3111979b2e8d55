/** Devices of this machine, found out once per process, and the choice behind `auto`. */
import type { DeviceChoice } from '../../../shared/domain/run-options.ts'
import type { DeviceInfo } from '../../engine/device/probe-devices.ts'
import type { DeviceKind } from '../../engine/onnx/graph-runtime.ts'
import { DeviceClient } from './device-client.ts'

const probes = new Map<string, Promise<readonly DeviceInfo[]>>()

/** Probed in a thread of its own; later calls get the same answer. A failed probe is repeated. */
export function probeDevices(workerFile: string): Promise<readonly DeviceInfo[]> {
  const present = probes.get(workerFile)
  if (present !== undefined) return present
  const probing = DeviceClient.listDevices(workerFile)
  probes.set(workerFile, probing)
  probing.catch(() => probes.delete(workerFile))
  return probing
}

/** A named device as it is; `auto`: CUDA, else WebGPU on real hardware, else the CPU. */
export async function chooseDevice(choice: DeviceChoice, workerFile: string): Promise<DeviceKind> {
  if (choice !== 'auto') return choice
  const fast = (await probeDevices(workerFile)).filter(({ isFast }) => isFast).map(({ device }) => device)
  return fast.includes('cuda') ? 'cuda' : fast.includes('webgpu') ? 'webgpu' : 'cpu'
}

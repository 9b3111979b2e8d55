/** Finds out which devices can run graphs, by running a small one on each. Only ever called on the one thread that owns the GPU. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { GraphBuilder } from '../onnx/graph-builder.ts'
import { f32Tensor, type DeviceKind } from '../onnx/graph-runtime.ts'
import { OrtRuntime } from './ort-runtime.ts'

export interface DeviceInfo {
  readonly device: DeviceKind
  readonly isAvailable: boolean
  /** Whether it is a real accelerator; a software driver of the same interface is slower than the CPU. */
  readonly isFast: boolean
  readonly detail: string
}

const SIZE = 256
/** A product of this size takes a software Vulkan driver 7 ms at best and usually 80 ms, a GPU below 2 ms. */
const SOFTWARE_MS = 5

/** cpu, webgpu and cuda, in this order. Never throws: a device that fails is reported as not available, with the reason. */
export async function listDevices(): Promise<readonly DeviceInfo[]> {
  const devices: DeviceInfo[] = []
  for (const device of ['cpu', 'webgpu', 'cuda'] as const) devices.push(await probeDevice(device))
  return devices
}

async function probeDevice(device: DeviceKind): Promise<DeviceInfo> {
  try {
    const runtime = new OrtRuntime({ device, threads: 0 })
    try {
      const milliseconds = await timeProduct(runtime)
      const isFast = device !== 'cpu' && milliseconds < SOFTWARE_MS
      return { device, isAvailable: true, isFast, detail: describe(device, isFast, milliseconds) }
    } finally {
      await runtime.close()
    }
  } catch (error: unknown) {
    return { device, isAvailable: false, isFast: false, detail: AppError.from(error).problem }
  }
}

/** Shortest of three runs of a 256-cubed product, after one that compiles. */
async function timeProduct(runtime: OrtRuntime): Promise<number> {
  const graph = new GraphBuilder('probe')
  const x = graph.input('x', [SIZE, SIZE])
  graph.output('y', graph.linear(x, graph.input('weight', [SIZE, SIZE]), 'probe'))
  const session = await runtime.load(graph.build(), 'probe')
  const ones = f32Tensor([SIZE, SIZE], new Float32Array(SIZE * SIZE).fill(1))
  let shortest = Infinity
  for (let run = 0; run < 4; run += 1) {
    const startedMs = performance.now()
    const results = await session.run({ x: ones, weight: ones })
    if (run > 0) shortest = Math.min(shortest, performance.now() - startedMs)
    if (results.get('y')?.data[0] !== SIZE) throw new Error('it computes a wrong product')
  }
  return shortest
}

function describe(device: DeviceKind, isFast: boolean, milliseconds: number): string {
  const time = `${milliseconds.toFixed(1)} ms for a ${String(SIZE)}-cubed product`
  if (device === 'cpu') return `ONNX Runtime on the processor, ${time}`
  return isFast ? `hardware, ${time}` : `software driver or a slow device, ${time}`
}

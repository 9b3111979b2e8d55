/** The functions of kernels.wasm, checked once. Operands are addresses in its memory, counts and scales, as in assembly/index.ts. */
import { invariant } from '../../../../shared/errors/app-error.ts'

type Kernel = (...operands: number[]) => number

export interface KernelFunctions {
  readonly heapBase: Kernel
  readonly amaxBf16: Kernel
  readonly amaxF32: Kernel
  readonly f32ToBf16: Kernel
  readonly f16ToBf16: Kernel
  readonly encodeFp8Tensor: Kernel
  readonly encodeFp8Rows: Kernel
  readonly encodeFp8Tiles: Kernel
  readonly encodeInt8Rows: Kernel
  readonly encodeInt4Blocks: Kernel
  readonly encodeMxfp8: Kernel
  readonly encodeMxfp4: Kernel
  readonly encodeNvfp4: Kernel
  readonly encodeNvfp4Scaled: Kernel
  readonly chooseStaticScales: Kernel
}

export interface KernelModule {
  readonly memory: WebAssembly.Memory
  readonly functions: KernelFunctions
}

/** Instantiates kernels.wasm synchronously. Throws INVARIANT when the module is not the one this program was built with. */
export function instantiateKernels(wasmBytes: Uint8Array): KernelModule {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(wasmBytes)))
  const memory = exports['memory']
  invariant(memory instanceof WebAssembly.Memory, 'the kernels export no memory')
  const find = (name: keyof KernelFunctions): Kernel => {
    const kernel: unknown = exports[name]
    invariant(isKernel(kernel), `the kernels lack ${name}`)
    return kernel
  }
  return {
    memory,
    functions: {
      heapBase: find('heapBase'),
      amaxBf16: find('amaxBf16'),
      amaxF32: find('amaxF32'),
      f32ToBf16: find('f32ToBf16'),
      f16ToBf16: find('f16ToBf16'),
      encodeFp8Tensor: find('encodeFp8Tensor'),
      encodeFp8Rows: find('encodeFp8Rows'),
      encodeFp8Tiles: find('encodeFp8Tiles'),
      encodeInt8Rows: find('encodeInt8Rows'),
      encodeInt4Blocks: find('encodeInt4Blocks'),
      encodeMxfp8: find('encodeMxfp8'),
      encodeMxfp4: find('encodeMxfp4'),
      encodeNvfp4: find('encodeNvfp4'),
      encodeNvfp4Scaled: find('encodeNvfp4Scaled'),
      chooseStaticScales: find('chooseStaticScales'),
    },
  }
}

function isKernel(value: unknown): value is Kernel {
  return typeof value === 'function'
}

// Entry of the kernel module. Memory layout: static data and scratch below heapBase(), then whatever the host places there.
// All kernels follow the cuda profile; lengths are counts of elements, blocks, rows or columns, never bytes.
export { amaxBf16, amaxF32 } from './amax'
export { f16ToBf16, f32ToBf16 } from './convert'
export { encodeFp8Rows, encodeFp8Tensor, encodeFp8Tiles } from './fp8-formats'
export { encodeInt4Blocks, encodeInt8Rows } from './int'
export { encodeMxfp4, encodeMxfp8 } from './mx'
export { encodeNvfp4, encodeNvfp4Scaled } from './nvfp4'
export { chooseStaticScales } from './nvfp4-static'

/** First byte that the kernels do not use themselves. */
export function heapBase(): usize {
  return __heap_base
}

/** The kernels for tests: compiled when out/main/kernels.wasm is missing or old, then read. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { KernelArena } from '../../main/engine/kernels/wasm/kernel-arena.ts'
import type { EncodedMatrix, FusedSource } from '../../main/engine/quant/encode-reference.ts'
import type { ModuleFormat } from '../../main/engine/quant/formats.ts'
import { storedParts, storedSizesBytes } from '../../main/engine/quant/layout.ts'
import type { Bf16Matrix } from '../../main/engine/quant/matrix.ts'

export async function loadKernels(): Promise<KernelArena> {
  const script = new URL('../../scripts/build-kernels.mjs', import.meta.url).href
  await import(script)
  const file = fileURLToPath(new URL('../../out/main/kernels.wasm', import.meta.url))
  return KernelArena.create(new Uint8Array(readFileSync(file)))
}

/** Encodes like `encodeMatrix`, with the kernels. Guard bytes around both regions catch writes past their ends. */
export function encodeInArena(
  arena: KernelArena,
  format: ModuleFormat,
  matrix: Bf16Matrix,
  tensorAmax: number,
  fused?: FusedSource,
): EncodedMatrix {
  const [weightBytes = 0, scaleBytes = 0] = storedSizesBytes(
    storedParts(format, matrix.rows, matrix.cols, fused),
  )
  const matrixBytes = matrix.bits.byteLength
  arena.reserve(matrixBytes + (fused?.matrix.bits.byteLength ?? 0), weightBytes + scaleBytes + 192)
  put(arena.input(), 0, matrix.bits)
  if (fused !== undefined) put(arena.input(), matrixBytes, fused.matrix.bits)
  const weightOffsetBytes = 64
  const weightScaleOffsetBytes = 64 * Math.ceil((weightOffsetBytes + weightBytes + 1) / 64)
  arena.reserve(0, weightScaleOffsetBytes + scaleBytes + 64)
  const output = arena
    .output()
    .subarray(0, weightScaleOffsetBytes + scaleBytes + 64)
    .fill(GUARD)
  const request = { inputOffsetBytes: 0, rows: matrix.rows, cols: matrix.cols, tensorAmax }
  const { weightScale2 } = arena.encode(
    format,
    fused === undefined
      ? request
      : {
          ...request,
          fused: { startRow: fused.startRow, totalRows: fused.totalRows, inputOffsetBytes: matrixBytes },
        },
    { weightOffsetBytes, weightScaleOffsetBytes },
  )
  const weightEnd = weightOffsetBytes + weightBytes
  const scaleEnd = weightScaleOffsetBytes + scaleBytes
  for (const gap of [
    output.subarray(0, weightOffsetBytes),
    output.subarray(weightEnd, weightScaleOffsetBytes),
    output.subarray(scaleEnd),
  ]) {
    if (gap.some((byte) => byte !== GUARD)) throw new Error(`${format.format} wrote outside its regions`)
  }
  return {
    weight: output.slice(weightOffsetBytes, weightEnd),
    weightScale: output.slice(weightScaleOffsetBytes, scaleEnd),
    weightScale2,
  }
}

const GUARD = 0xa5

function put(target: Uint8Array, offset: number, bits: Uint16Array): void {
  target.set(new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength), offset)
}

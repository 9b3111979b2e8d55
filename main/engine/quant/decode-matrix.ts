/** One entry to the decoders: what a loader computes from the stored parts, in f32. */
import { decodeFp8Row } from './fp8-row/decode.ts'
import { decodeFp8Tile } from './fp8-tile/decode.ts'
import { decodeFp8 } from './fp8/decode.ts'
import type { ModuleFormat } from './formats.ts'
import { decodeInt4 } from './int4/decode.ts'
import { decodeInt8 } from './int8/decode.ts'
import { blockSizeOf, weightLayout } from './layout.ts'
import type { StoredMatrix } from './matrix.ts'
import { decodeMxfp4 } from './mxfp4/decode.ts'
import { decodeMxfp8 } from './mxfp8/decode.ts'
import { decodeNvfp4 } from './nvfp4/decode.ts'

/** f32[rows · cols] values of a stored matrix. NaN scales or codes give NaN. Throws BLOCK_SIZE_UNSUPPORTED for a block size the format lacks. */
export function decodeMatrix(format: ModuleFormat, stored: StoredMatrix): Float32Array<ArrayBuffer> {
  switch (weightLayout(format.format)) {
    case 'fp8':
      return decodeFp8(stored)
    case 'fp8_row':
      return decodeFp8Row(stored)
    case 'fp8_tile':
      return decodeFp8Tile(stored)
    case 'int8_row':
      return decodeInt8(stored)
    case 'int4':
      return decodeInt4(stored, blockSizeOf(format))
    case 'nvfp4':
      return decodeNvfp4(stored, blockSizeOf(format))
    case 'mxfp8':
      return decodeMxfp8(stored, blockSizeOf(format))
    case 'mxfp4':
      return decodeMxfp4(stored, blockSizeOf(format))
  }
}

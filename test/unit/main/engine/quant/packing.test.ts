/** A nibble in the wrong half, a missing offset or a transposed word would still have the right size and load without an error. */
import { expect, test } from 'vitest'
import {
  offsetInt8,
  packInt4Columns,
  unpackInt4Columns,
  widenBf16,
  widenF16,
} from '../../../../../main/engine/quant/packing.ts'
import { fc } from '../../../../tools/properties.ts'

test('INT4: eight columns of a row are one word, first column lowest, codes plus 8', () => {
  // row 0: -8 -1 0 7 1 2 3 -4 (low nibbles), row 1: 0 0 0 0 0 0 -1 7 (high nibbles)
  const stored = Uint8Array.of(0x08, 0x0f, 0x00, 0x07, 0x01, 0x02, 0xf3, 0x7c)
  const packed = new Uint8Array(8)
  packInt4Columns(stored, 8, packed)
  const words = new DataView(packed.buffer)
  expect(words.getUint32(0, true).toString(16)).toBe('4ba9f870')
  expect(words.getUint32(4, true).toString(16)).toBe('f7888888')
})

test('INT8: four columns are one word, codes plus 128', () => {
  const packed = new Uint8Array(4)
  offsetInt8(Uint8Array.of(0x80, 0xff, 0x00, 0x7f), packed)
  expect(new DataView(packed.buffer).getUint32(0, true).toString(16)).toBe('ff807f00')
})

test('INT4 packing is undone by unpacking, for any number of row pairs', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 9 }),
      fc.infiniteStream(fc.nat(255)),
      (pairs, words, stream) => {
        const cols = words * 8
        const stored = Uint8Array.from({ length: pairs * cols }, () => stream.next().value as number)
        const packed = new Uint8Array(stored.length)
        const back = new Uint8Array(stored.length)
        packInt4Columns(stored, cols, packed)
        unpackInt4Columns(packed, cols, back)
        expect(back).toEqual(stored)
      },
    ),
  )
})

test('half-width scales keep their value', () => {
  const wide = new Uint8Array(8)
  widenBf16(Uint8Array.of(0xc0, 0x3f, 0x00, 0x80), wide)
  expect([...new Float32Array(wide.buffer)]).toEqual([1.5, -0])
  widenF16(Uint8Array.of(0x00, 0x3e, 0x01, 0x00), wide)
  expect([...new Float32Array(wide.buffer)]).toEqual([1.5, 2 ** -24])
})

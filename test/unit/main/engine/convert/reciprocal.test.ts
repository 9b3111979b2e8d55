/** One unit in the last place of a scale is invisible in every output and still breaks "converting back gives the same bytes". */
import { describe, expect, test } from 'vitest'
import { toDirect, toReciprocal } from '../../../../../main/engine/convert/reciprocal.ts'
import { fc, runs } from '../../../../tools/properties.ts'

const bf16 = (bits: number): number => {
  const view = new DataView(new ArrayBuffer(4))
  view.setUint32(0, bits << 16)
  return view.getFloat32(0)
}
const f32 = (bits: number): number => {
  const view = new DataView(new ArrayBuffer(4))
  view.setUint32(0, bits)
  return view.getFloat32(0)
}

describe('scalars stored as reciprocals', () => {
  test('are the correctly rounded f32 of 1 / x', () => {
    expect(toReciprocal(0.25)).toEqual({ value: 4, outcome: 'exact' })
    expect(toReciprocal(0.75).value).toBe(1.3333333730697632)
  })

  test.each([2688, 1536])('amax / %d of every BF16 maximum comes back', (divisor) => {
    for (let bits = 0x3000; bits < 0x4800; bits += 1) {
      const scale = Math.fround(bf16(bits) * Math.fround(1 / divisor))
      const inversion = toReciprocal(scale)
      expect(inversion.outcome).not.toBe('rounded')
      expect(toDirect(inversion.value).value).toBe(scale)
    }
  })

  test('a mantissa above √2 without a BF16 maximum cannot come back, and is said so', () => {
    // 1.9375001: its reciprocal is also that of its neighbour 1.9375.
    const scale = f32(0x3ff80001)
    const { value, outcome } = toReciprocal(scale)
    expect(outcome).toBe('rounded')
    expect(toDirect(value).value).not.toBe(scale)
    expect(toDirect(value, scale)).toEqual({ value: scale, outcome: 'recorded' })
  })

  test('a record that is not a preimage of the stored value is not believed', () => {
    expect(toDirect(4, 0.5)).toEqual({ value: 0.25, outcome: 'exact' })
  })

  test('what is called exact or restored does come back, both ways', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0x30000000, max: 0x50000000 }), (bits) => {
        const value = f32(bits)
        const there = toReciprocal(value)
        if (there.outcome !== 'rounded') expect(toDirect(there.value).value).toBe(value)
        const back = toDirect(value)
        if (back.outcome !== 'rounded') expect(toReciprocal(back.value).value).toBe(value)
      }),
      runs(2000),
    )
  })
})

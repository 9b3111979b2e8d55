/** Formulas of AWQ-lite and SmoothQuant on numbers done by hand: an exponent at the wrong side would still run and still verify. */
import { expect, test } from 'vitest'
import { awqAlphas, awqCandidates } from '../../../../../main/engine/smoothing/awq-scales.ts'
import { smoothquantScales } from '../../../../../main/engine/smoothing/smoothquant-scales.ts'
import { fc } from '../../../../tools/properties.ts'

test('exponents go from 0 to 1 in steps, and end at 1 whatever the step', () => {
  expect(awqAlphas(0.25)).toEqual([0, 0.25, 0.5, 0.75, 1])
  expect(awqAlphas(0.4)).toEqual([0, 0.4, 0.8, 1])
  expect(awqAlphas(0.1)).toHaveLength(11)
})

test('AWQ: x^a / w^(1−a) over the geometric middle of its extremes; s = 1 is tried first', () => {
  const [untouched, weightsOnly, , inputsOnly] = awqCandidates(0.5, [4, 1, 16, 0], [0.25, 1, 0.25, 1])
  expect(untouched).toEqual({ alpha: Number.NaN, scales: Float32Array.of(1, 1, 1, 1) })
  // a = 0: 1/w = 4, 1, 4; middle sqrt(4 · 1) = 2; the dead channel keeps 1.
  expect([...weightsOnly.scales]).toEqual([2, 0.5, 2, 1])
  // a = 1: x = 4, 1, 16; middle sqrt(16 · 1) = 4.
  expect([...inputsOnly.scales]).toEqual([1, 0.25, 4, 1])
})

test('SmoothQuant: A^alpha / w^(1−alpha) within 1e-4 and 1e4; dead channels keep their scale', () => {
  expect([...smoothquantScales(0.5, [16, 1, 0, 3], [4, 0.25, 1, 0])]).toEqual([2, 2, 1, 1])
  expect([...smoothquantScales(1, [8, 1e6], [0.5, 1])]).toEqual([8, 10_000])
})

test('whatever the magnitudes, scales are finite and above 0', () => {
  const magnitudes = fc.array(fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }), {
    minLength: 1,
    maxLength: 20,
  })
  fc.assert(
    fc.property(magnitudes, magnitudes, (inputs, weights) => {
      const all = [
        ...awqCandidates(0.25, inputs, weights).map(({ scales }) => scales),
        smoothquantScales(0.5, inputs, weights),
      ]
      for (const scales of all)
        for (const scale of scales) expect(scale > 0 && Number.isFinite(scale)).toBe(true)
    }),
  )
})

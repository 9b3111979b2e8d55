import { describe, expect, it } from 'vitest'
import {
  createHeatColours,
  legendColours,
  oklchToRgb,
  rampColour,
  type Rgb,
} from '../../../../renderer/src/charts/colour-map.ts'

const THEMES = ['light', 'dark'] as const

/** Relative luminance of WCAG 2. */
function luminance(colour: Rgb): number {
  const [red, green, blue] = colour.map((channel) => {
    const value = channel / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** How a person without green cones sees a colour: Machado, Oliveira, Fernandes 2009, severity 1. */
function deuteranopia([red, green, blue]: Rgb): Rgb {
  return [
    0.367322 * red + 0.860646 * green - 0.227968 * blue,
    0.280085 * red + 0.672501 * green + 0.047413 * blue,
    -0.01182 * red + 0.04294 * green + 0.968881 * blue,
  ]
}

function distance(a: Rgb, b: Rgb): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
}

function parse(css: string): Rgb {
  const [red, green, blue] = css.match(/\d+/g)?.map(Number) ?? []
  return [red, green, blue]
}

describe('OKLCH conversion', () => {
  it('gives the published values of sRGB red and white', () => {
    // Ottosson 2020: red is oklch(0.6280 0.2577 29.23), white is oklch(1 0 0).
    expect(oklchToRgb({ lightness: 0.62796, chroma: 0.25768, hue: 29.234 })).toEqual([255, 0, 0])
    expect(oklchToRgb({ lightness: 1, chroma: 0, hue: 0 })).toEqual([255, 255, 255])
  })
})

describe.each(THEMES)('heat colours, %s theme', (theme) => {
  it('zero is an alarm unless it is the best there is', () => {
    const [alarm, fine] = [legendColours(theme), legendColours(theme, 'fine')]
    expect(fine.zero).not.toBe(alarm.zero)
    expect(createHeatColours(theme, 'fine').zero).toBe(createHeatColours(theme).ramp[0])
  })

  const ramp = Array.from({ length: 64 }, (_, index) => rampColour(theme, index / 63))

  it('order values by luminance alone: rising on dark, falling on light', () => {
    const direction = theme === 'dark' ? 1 : -1
    for (let index = 1; index < ramp.length; index += 1) {
      expect(direction * (luminance(ramp[index]) - luminance(ramp[index - 1]))).toBeGreaterThan(0)
    }
  })

  it('keep the zero colour apart from the whole ramp, also without green cones', () => {
    const zero = parse(legendColours(theme).zero)
    for (const colour of ramp) {
      expect(distance(zero, colour)).toBeGreaterThan(90)
      expect(distance(deuteranopia(zero), deuteranopia(colour))).toBeGreaterThan(60)
    }
  })

  it('pack words in the byte order of ImageData', () => {
    const { ramp: words, zero } = createHeatColours(theme)
    expect(words).toHaveLength(256)
    const bytes = new Uint8Array(new Uint32Array([zero]).buffer)
    expect([...bytes]).toEqual([...parse(legendColours(theme).zero), 255])
  })
})

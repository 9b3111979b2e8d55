/**
 * Colours of the layers x experts map. The ramp walks through OKLCH with steadily changing lightness, so that order is visible without
 * hue; the one alarm colour lies across the blue-yellow axis, which all common forms of colour blindness keep.
 * Conversion: Björn Ottosson, "A perceptual color space for image processing" (2020).
 */
export type Theme = 'light' | 'dark'
/** What a value of 0 means: something is missing, or the best there is. */
export type ZeroTone = 'alarm' | 'fine'
export type Rgb = readonly [red: number, green: number, blue: number]

export interface HeatColours {
  /** 256 packed RGBA words in the byte order of ImageData. */
  readonly ramp: Uint32Array
  /** A measured cell with value 0. */
  readonly zero: number
  /** A cell without a value. */
  readonly unknown: number
}

/** Linear channel value where sRGB's power segment begins (IEC 61966-2-1). */
const SRGB_LINEAR_LIMIT = 0.0031308

interface Stop {
  readonly lightness: number
  readonly chroma: number
  readonly hue: number
}

const RAMPS: Readonly<Record<Theme, readonly [low: Stop, middle: Stop, high: Stop]>> = {
  dark: [
    { lightness: 0.3, chroma: 0.085, hue: 285 },
    { lightness: 0.62, chroma: 0.105, hue: 215 },
    { lightness: 0.96, chroma: 0.085, hue: 150 },
  ],
  light: [
    { lightness: 0.88, chroma: 0.055, hue: 170 },
    { lightness: 0.6, chroma: 0.1, hue: 215 },
    { lightness: 0.26, chroma: 0.09, hue: 285 },
  ],
}

const ZERO: Readonly<Record<Theme, Rgb>> = { dark: [255, 124, 58], light: [216, 76, 10] }
const UNKNOWN: Readonly<Record<Theme, Rgb>> = { dark: [32, 41, 43], light: [226, 230, 228] }

/** OKLCH (lightness 0..1, hue in degrees) to 8-bit sRGB; channels out of gamut are clipped. */
export function oklchToRgb({ lightness, chroma, hue }: Stop): Rgb {
  const angle = (hue * Math.PI) / 180
  const a = chroma * Math.cos(angle)
  const b = chroma * Math.sin(angle)
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3
  return [
    encode(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
    encode(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
    encode(-0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short),
  ]
}

/** Colour at `position` 0..1 of the ramp. */
export function rampColour(theme: Theme, position: number): Rgb {
  const [low, middle, high] = RAMPS[theme]
  return position < 0.5
    ? oklchToRgb(mix(low, middle, position * 2))
    : oklchToRgb(mix(middle, high, position * 2 - 1))
}

export function createHeatColours(theme: Theme, tone: ZeroTone = 'alarm'): HeatColours {
  const bytes = new Uint8ClampedArray(258 * 4)
  for (let index = 0; index < 256; index += 1) bytes.set([...rampColour(theme, index / 255), 255], index * 4)
  bytes.set([...zeroColour(theme, tone), 255], 256 * 4)
  bytes.set([...UNKNOWN[theme], 255], 257 * 4)
  const words = new Uint32Array(bytes.buffer)
  return { ramp: words.subarray(0, 256), zero: words[256] ?? 0, unknown: words[257] ?? 0 }
}

/** CSS text of the colours that a legend shows beside the ramp. */
export function legendColours(
  theme: Theme,
  tone: ZeroTone = 'alarm',
): { readonly zero: string; readonly unknown: string } {
  return { zero: cssColour(zeroColour(theme, tone)), unknown: cssColour(UNKNOWN[theme]) }
}

function zeroColour(theme: Theme, tone: ZeroTone): Rgb {
  return tone === 'alarm' ? ZERO[theme] : rampColour(theme, 0)
}

export function cssColour([red, green, blue]: Rgb): string {
  return `rgb(${String(red)} ${String(green)} ${String(blue)})`
}

function mix(from: Stop, to: Stop, share: number): Stop {
  const between = (a: number, b: number): number => a + (b - a) * share
  return {
    lightness: between(from.lightness, to.lightness),
    chroma: between(from.chroma, to.chroma),
    hue: between(from.hue, to.hue),
  }
}

function encode(linear: number): number {
  const value = Math.min(1, Math.max(0, linear))
  const encoded = value <= SRGB_LINEAR_LIMIT ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055
  return Math.round(encoded * 255)
}

/** `cfg` of a recipe entry to attributes: a numerics name, or ModelOpt's keys, or a numerics name with keys on top. */
import { DEFAULT_ATTRIBUTES, isNumericsName, NUMERICS } from './numerics.ts'
import type { BlockSizes, NumBits, QuantizerAttributes } from './recipe.ts'
import type { YamlValue } from './yaml-reader.ts'

const ATTRIBUTE_KEYS = [
  '$import',
  'num_bits',
  'axis',
  'block_sizes',
  'type',
  'constant_amax',
  'use_constant_amax',
  'fake_quant',
  'enable',
]

/** How a name in `$import` is looked up: the imports of the recipe map a local name to a file. */
export type ImportNames = ReadonlyMap<string, string>

/** Throws RECIPE_INVALID with line and key for an unknown key, name, type or number. */
export function parseAttributes(cfg: YamlValue, imports: ImportNames): QuantizerAttributes {
  if (!cfg.isMapping()) return importNumerics(cfg, imports)
  const fields = cfg.fields(ATTRIBUTE_KEYS)
  const base = fields.get('$import')
  let result = base === undefined ? DEFAULT_ATTRIBUTES : importNumerics(base, imports)
  const set = (changes: Partial<QuantizerAttributes>): void => {
    result = { ...result, ...changes }
  }
  for (const [name, value] of fields) {
    if (name === 'num_bits') set({ numBits: parseNumBits(value) })
    if (name === 'axis') set({ axis: parseAxis(value) })
    if (name === 'block_sizes') {
      const { block, isDynamic } = parseBlockSizes(value)
      set({ block, isDynamic: isDynamic || result.isDynamic })
    }
    if (name === 'type') set({ isDynamic: value.choice(['static', 'dynamic']) === 'dynamic' })
    if (name === 'constant_amax') set({ constantAmax: value.isNull() ? undefined : positive(value) })
    if (name === 'use_constant_amax') set({ usesConstantAmax: value.boolean() })
    if (name === 'fake_quant') set({ isFakeQuant: value.boolean() })
  }
  return result
}

function importNumerics(value: YamlValue, imports: ImportNames): QuantizerAttributes {
  const local = value.text()
  const name = imports.get(local) ?? local
  if (!isNumericsName(name)) {
    throw value.invalid(
      `there is no number format "${local}"`,
      `use one of ${Object.keys(NUMERICS).join(', ')}`,
    )
  }
  return NUMERICS[name]
}

/** 8, [4, 3] or e4m3. */
function parseNumBits(value: YamlValue): NumBits {
  const bits = value.isList() ? value.items().map((item) => wholeNumber(item, 0, 16)) : value.scalar()
  if (Array.isArray(bits)) {
    const [exponent, mantissa] = bits
    if (bits.length === 2 && exponent !== undefined && mantissa !== undefined)
      return `e${exponent}m${mantissa}`
  } else if (typeof bits === 'number' && Number.isInteger(bits) && bits > 0 && bits <= 16) return bits
  else if (typeof bits === 'string') {
    const float = /^e(\d{1,2})m(\d{1,2})$/i.exec(bits)
    if (float !== null) return `e${Number(float[1])}m${Number(float[2])}`
  }
  throw value.invalid('a width such as 8, or a float such as [4, 3] or e4m3 is expected')
}

function parseAxis(value: YamlValue): number | undefined {
  if (value.isNull()) return undefined
  if (value.isList()) {
    const [only, ...rest] = value.items()
    if (only === undefined || rest.length > 0) throw value.invalid('one axis is expected')
    return wholeNumber(only, -8, 8)
  }
  return wholeNumber(value, -8, 8)
}

/** Block sizes of `{-1: null}` mean one scale for each vector of the last axis, i.e. per token. */
function parseBlockSizes(value: YamlValue): {
  readonly block: BlockSizes | undefined
  readonly isDynamic: boolean
} {
  if (value.isNull()) return { block: undefined, isDynamic: false }
  const fields = value.fields(['-1', '-2', 'type', 'scale_bits', 'four_over_six'])
  const size = (name: string): number | undefined => {
    const field = fields.get(name)
    return field === undefined || field.isNull() ? undefined : wholeNumber(field, 1, 1 << 20)
  }
  const [last, secondLast] = [size('-1'), size('-2')]
  const isDynamic = fields.get('type')?.choice(['static', 'dynamic']) === 'dynamic'
  if (last === undefined && secondLast === undefined) return { block: undefined, isDynamic }
  const scaleBits = fields.get('scale_bits')
  const isFourOverSix = fields.get('four_over_six')?.boolean() ?? false
  return {
    block: {
      last,
      secondLast,
      isDynamic,
      scaleBits: scaleBits === undefined || scaleBits.isNull() ? undefined : parseNumBits(scaleBits),
      isFourOverSix,
    },
    isDynamic: false,
  }
}

function wholeNumber(value: YamlValue, least: number, most: number): number {
  const number = value.number()
  if (!Number.isInteger(number) || number < least || number > most) {
    throw value.invalid(`${String(number)} is not a whole number from ${String(least)} to ${String(most)}`)
  }
  return number
}

function positive(value: YamlValue): number {
  const number = value.number()
  // The maximum is stored as F32: it must be one that F32 can hold.
  if (!Number.isFinite(Math.fround(number)) || Math.fround(number) <= 0) {
    throw value.invalid(`${String(number)} is not a finite number above 0`)
  }
  return number
}

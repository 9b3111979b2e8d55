/** `cfg` of a recipe entry to attributes: a numerics name, or ModelOpt's keys, or a numerics name with keys on top. */
import { DEFAULT_ATTRIBUTES, isNumericsName, NUMERICS } from './numerics.ts'
import type { NumBits, QuantizerAttributes } from './recipe.ts'
import type { YamlValue } from './yaml-reader.ts'

/** How a name in `$import` is looked up: the imports of the recipe map a local name to a file. */
export type ImportNames = ReadonlyMap<string, string>

/** What each key of a `cfg` changes, in the order in which they are applied. */
const READERS: Readonly<Record<string, (value: YamlValue) => Partial<QuantizerAttributes>>> = {
  num_bits: (value) => ({ numBits: parseNumBits(value) }),
  axis: (value) => ({ axis: parseAxis(value) }),
  block_sizes: parseBlockSizes,
  type: (value) => ({ isDynamic: value.choice(['static', 'dynamic']) === 'dynamic' }),
  constant_amax: (value) => ({ constantAmax: value.isNull() ? undefined : positive(value) }),
  use_constant_amax: (value) => ({ usesConstantAmax: value.boolean() }),
  fake_quant: (value) => ({ isFakeQuant: value.boolean() }),
}

/** Throws RECIPE_INVALID with line and key for an unknown key, name, type or number. `enable` inside a cfg is left to the caller. */
export function parseAttributes(cfg: YamlValue, imports: ImportNames): QuantizerAttributes {
  if (!cfg.isMapping()) return importNumerics(cfg, imports)
  const fields = cfg.fields(['$import', ...Object.keys(READERS), 'enable'])
  const base = fields.get('$import')
  let result = base === undefined ? DEFAULT_ATTRIBUTES : importNumerics(base, imports)
  for (const [name, read] of Object.entries(READERS)) {
    const value = fields.get(name)
    if (value !== undefined) result = { ...result, ...read(value) }
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

/** Block sizes of `{-1: null, type: dynamic}` mean one scale for each vector of the last axis, i.e. per token. */
function parseBlockSizes(value: YamlValue): Partial<QuantizerAttributes> {
  if (value.isNull()) return { block: undefined }
  const fields = value.fields(['-1', '-2', 'type', 'scale_bits', 'four_over_six'])
  const given = (name: string): YamlValue | undefined => {
    const field = fields.get(name)
    return field?.isNull() === true ? undefined : field
  }
  const size = (name: string): number | undefined => {
    const field = given(name)
    return field === undefined ? undefined : wholeNumber(field, 1, 1 << 20)
  }
  const [last, secondLast] = [size('-1'), size('-2')]
  const isDynamic = fields.get('type')?.choice(['static', 'dynamic']) === 'dynamic'
  if (last === undefined && secondLast === undefined) return { block: undefined, isDynamic }
  const scaleBits = given('scale_bits')
  return {
    block: {
      last,
      secondLast,
      isDynamic,
      scaleBits: scaleBits === undefined ? undefined : parseNumBits(scaleBits),
      isFourOverSix: fields.get('four_over_six')?.boolean() ?? false,
    },
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

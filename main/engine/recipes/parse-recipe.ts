/**
 * Recipe text (YAML) to a Recipe. Accepts our own keys and the layout of ModelOpt's PTQ recipe and preset files, so that such a file
 * works unchanged as long as it asks for something Quantmill writes. Every mistake names line and key.
 */
import { DIALECTS, EXPERT_INPUT_SCALES, KV_CACHE_FORMATS } from '../../../shared/domain/run-options.ts'
import {
  DEFAULT_ALPHA_STEP,
  DEFAULT_SMOOTHQUANT_ALPHA,
  type SmoothingMethod,
} from '../smoothing/smoothing.ts'
import { isSelectionName, SELECTIONS, type Selection } from './builtin.ts'
import { parseAttributes, type ImportNames } from './parse-attributes.ts'
import type { CalibrationMethod, Recipe, RecipeEntry } from './recipe.ts'
import { selectionEntries } from './selection-entries.ts'
import { kvCacheEntries, UNITS } from './units.ts'
import { readYaml, recipeInvalid, type YamlValue } from './yaml-reader.ts'

const TOP_KEYS = [
  'name',
  'purpose',
  'metadata',
  'imports',
  'quantize',
  'algorithm',
  'quant_cfg',
  'kv_cache',
  'calibration',
  'expert_input_scale',
  'fallback',
  'dialect',
]
const METHOD_KEYS = [
  'method',
  'fp8_scale_sweep',
  'layerwise',
  'skip_forward_without_activation_calib',
  'start_multiplier',
  'stop_multiplier',
  'step_size',
  'percentile',
  'alpha',
  'alpha_step',
]

/** CWE-770: every step is one more rounding of all weights. */
const SMALLEST_STEP = 0.01

type Fields = ReadonlyMap<string, YamlValue>

/** Throws RECIPE_INVALID. `name` is used in messages and when the text has no name of its own. */
export function parseRecipe(name: string, text: string): Recipe {
  const { root, fields, imports } = readRoot(name, text)
  const quantize = quantizeFields(root, fields, imports)
  const { method, hasScaleSweep, percentile, smoothing } =
    quantize.preset ?? parseAlgorithm(quantize.fields.get('algorithm'))
  const entries = quantize.preset?.entries ?? parseEntries(root, quantize.fields, imports)
  return {
    name: fields.get('name')?.text() ?? nameOfFile(name),
    purpose: readPurpose(fields),
    entries: [...entries, ...kvEntries(fields)],
    method,
    hasScaleSweep,
    ...(percentile === undefined ? {} : { percentile }),
    ...(smoothing === undefined ? {} : { smoothing }),
    ...parseRunPart(fields),
    sourceText: text,
  }
}

/** `/home/me/mine.yaml` -> `mine`: the name ends up in reports, the path must not. */
function nameOfFile(path: string): string {
  return (
    path
      .split(/[/\\]/)
      .at(-1)
      ?.replace(/\.ya?ml$/i, '') ?? path
  )
}

interface RecipeRoot {
  readonly root: YamlValue
  readonly fields: Fields
  readonly imports: ImportNames
}

/** One document, or two of which the first holds only the imports. */
function readRoot(name: string, text: string): RecipeRoot {
  const [first, second, third] = readYaml(name, text).filter((document) => !document.isNull())
  if (first === undefined)
    throw recipeInvalid(name, undefined, 'the recipe is empty', 'describe what to quantize')
  if (third !== undefined) throw third.invalid('a recipe has at most two YAML documents')
  const root = second ?? first
  const fields = root.fields(TOP_KEYS)
  const imports = second === undefined ? fields : first.fields(['imports'])
  return { root, fields, imports: parseImports(imports.get('imports')) }
}

/** What is about the run and not about modules. */
function parseRunPart(
  fields: Fields,
): Pick<Recipe, 'calibration' | 'expertInputScale' | 'fallback' | 'dialect'> {
  return {
    calibration: parseCalibration(fields.get('calibration')),
    expertInputScale: fields.get('expert_input_scale')?.choice(EXPERT_INPUT_SCALES),
    fallback: fields.get('fallback')?.choice(['layer_maximum']) ?? 'layer_maximum',
    dialect: fields.get('dialect')?.choice(DIALECTS),
  }
}

interface Preset {
  readonly entries: readonly RecipeEntry[]
  readonly method: CalibrationMethod
  readonly hasScaleSweep: boolean
  readonly percentile?: number | undefined
  readonly smoothing?: SmoothingMethod | undefined
}

/** The part with `algorithm` and `quant_cfg`: below `quantize`, at the top level, or `$import` of a whole preset. */
function quantizeFields(
  root: YamlValue,
  fields: Fields,
  imports: ImportNames,
): { readonly fields: Fields; readonly preset: Preset | undefined } {
  const quantize = fields.get('quantize')
  if (quantize === undefined) {
    if (!fields.has('quant_cfg')) {
      throw root.invalid('there is no quantize.quant_cfg', 'list the quantizers there')
    }
    return { fields, preset: undefined }
  }
  const doubled = fields.get('quant_cfg') ?? fields.get('algorithm')
  if (doubled !== undefined) throw doubled.invalid('this key belongs below quantize')
  const inner = quantize.fields(['$import', 'algorithm', 'quant_cfg'])
  const preset = inner.get('$import')
  if (preset === undefined) return { fields: inner, preset: undefined }
  const base = imports.get(preset.text()) ?? preset.text()
  if (!isSelectionName(base)) throw preset.invalid(`there is no preset "${base}"`)
  const selection: Selection = SELECTIONS[base]
  const { method, hasScaleSweep = false, smoothing } = selection
  const entries = selectionEntries(selection, 'none')
  return { fields: inner, preset: { entries, method, hasScaleSweep, smoothing } }
}

/** Local name -> last part of the imported path, which is the name of a unit, numerics or preset. */
function parseImports(value: YamlValue | undefined): ImportNames {
  if (value === undefined || value.isNull()) return new Map()
  return new Map(
    [...value.entries()].map(([local, path]) => [
      local,
      path
        .text()
        .split('/')
        .at(-1)
        ?.replace(/\.ya?ml$/, '') ?? '',
    ]),
  )
}

function readPurpose(fields: Fields): string {
  const metadata = fields.get('metadata')
  const description = metadata?.isMapping() === true ? metadata.entries().get('description') : undefined
  return (fields.get('purpose') ?? description)?.text().trim() ?? 'a recipe of your own'
}

type Algorithm = Pick<Preset, 'method' | 'hasScaleSweep' | 'percentile' | 'smoothing'>

function parseAlgorithm(value: YamlValue | undefined): Algorithm {
  if (value === undefined) return { method: 'max', hasScaleSweep: false }
  if (!value.isMapping()) {
    return { method: parseMethod(value), hasScaleSweep: false, smoothing: parseSmoothing(value, new Map()) }
  }
  const fields = value.fields(METHOD_KEYS)
  const method = fields.get('method')
  return {
    method: method === undefined ? 'max' : parseMethod(method),
    hasScaleSweep: fields.get('fp8_scale_sweep')?.boolean() ?? false,
    percentile: parsePercentile(fields.get('percentile'), method),
    smoothing: parseSmoothing(method, fields),
  }
}

/** Each of the two methods has one number of its own; a number of the other is a mistake. */
function parseSmoothing(method: YamlValue | undefined, fields: Fields): SmoothingMethod | undefined {
  const name = method?.isNull() === false ? method.scalar() : undefined
  const alpha = parseShare(fields.get('alpha'), name === 'smoothquant', 0)
  const alphaStep = parseShare(fields.get('alpha_step'), name === 'awq_lite', SMALLEST_STEP)
  if (name === 'awq_lite') return { kind: name, alphaStep: alphaStep ?? DEFAULT_ALPHA_STEP }
  if (name === 'smoothquant') return { kind: name, alpha: alpha ?? DEFAULT_SMOOTHQUANT_ALPHA }
  return undefined
}

/** A number from `least` to 1. */
function parseShare(value: YamlValue | undefined, isKnown: boolean, least: number): number | undefined {
  if (value === undefined) return undefined
  if (!isKnown)
    throw value.invalid('this method does not have it', 'alpha: smoothquant, alpha_step: awq_lite')
  const share = value.number()
  if (share >= least && share <= 1) return share
  throw value.invalid(`${String(share)} is not a number from ${String(least)} to 1`)
}

/** 100 is the maximum itself. */
function parsePercentile(value: YamlValue | undefined, method: YamlValue | undefined): number | undefined {
  if (value === undefined) return undefined
  const percentile = value.number()
  if (!(percentile > 0 && percentile <= 100))
    throw value.invalid(`${String(percentile)} is not a percentile above 0 and up to 100`)
  if (method !== undefined && parseMethod(method) === 'none')
    throw value.invalid('without a method nothing is calibrated', 'use method: max')
  if (parseSmoothing(method, new Map()) !== undefined)
    throw value.invalid('maxima of rescaled channels have no percentile', 'leave percentile out')
  return percentile === 100 ? undefined : percentile
}

function parseMethod(value: YamlValue): CalibrationMethod {
  if (value.isNull()) return 'none'
  switch (value.choice(['none', 'max', 'mse', 'four_over_six', 'awq_lite', 'smoothquant'])) {
    case 'none':
      return 'none'
    case 'mse':
    case 'four_over_six':
      return 'mse'
    case 'max':
    case 'awq_lite':
    case 'smoothquant':
      return 'max'
  }
}

function parseEntries(root: YamlValue, quantize: Fields, imports: ImportNames): readonly RecipeEntry[] {
  const list = quantize.get('quant_cfg')
  if (list === undefined) throw root.invalid('there is no quantize.quant_cfg', 'list the quantizers there')
  return list.items().flatMap((item) => parseEntry(item, imports))
}

function parseEntry(item: YamlValue, imports: ImportNames): readonly RecipeEntry[] {
  const fields = item.fields(['$import', 'quantizer_name', 'parent_class', 'cfg', 'enable'])
  const unit = fields.get('$import')
  if (unit !== undefined) return importUnit(unit, imports)
  const pattern = fields.get('quantizer_name')
  if (pattern === undefined)
    throw item.invalid('quantizer_name is missing', 'say which quantizers this is about')
  return [
    {
      pattern: pattern.text(),
      parentClass: fields.get('parent_class')?.text(),
      ...parseEffect(item, fields, imports),
      place: pattern.place,
    },
  ]
}

/** A cfg switches on by itself; `enable` may stand beside it or inside it. */
function parseEffect(
  item: YamlValue,
  fields: Fields,
  imports: ImportNames,
): Pick<RecipeEntry, 'cfg' | 'isEnabled'> {
  const given = fields.get('cfg')
  const cfg = given?.isNull() === true ? undefined : given
  const inner = cfg?.isMapping() === true ? cfg.entries().get('enable') : undefined
  const enable = fields.get('enable') ?? inner
  if (cfg === undefined && enable === undefined)
    throw item.invalid('neither cfg nor enable is given', 'give one of them')
  return {
    cfg: cfg === undefined ? undefined : parseAttributes(cfg, imports),
    isEnabled: enable?.boolean() ?? true,
  }
}

function importUnit(value: YamlValue, imports: ImportNames): readonly RecipeEntry[] {
  const local = value.text()
  const unit = UNITS.get(imports.get(local) ?? local)
  if (unit === undefined) {
    throw value.invalid(`there is no unit "${local}"`, `use one of ${[...UNITS.keys()].join(', ')}`)
  }
  return unit
}

function kvEntries(fields: Fields): readonly RecipeEntry[] {
  const kv = fields.get('kv_cache')?.choice(KV_CACHE_FORMATS)
  return kv === undefined ? [] : kvCacheEntries(kv)
}

function parseCalibration(value: YamlValue | undefined): Recipe['calibration'] {
  const fields: Fields = value?.fields(['data', 'samples', 'sequence_length']) ?? new Map<string, YamlValue>()
  const count = (name: string): number | undefined => {
    const field = fields.get(name)
    const number = field?.number()
    if (field !== undefined && number !== undefined && (!Number.isInteger(number) || number < 1)) {
      throw field.invalid(`${String(number)} is not a whole number from 1`)
    }
    return number
  }
  return {
    data: fields.get('data')?.text(),
    samples: count('samples'),
    sequenceLength: count('sequence_length'),
  }
}

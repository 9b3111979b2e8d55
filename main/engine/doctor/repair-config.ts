/**
 * Repairs of the two quantization descriptions: one is made to say what the other, which fits the tensors, says; missing keys are added;
 * exclude lists are made to cover exactly the modules without scales. Everything else in the files stays as it is.
 */
import { LosslessNumber } from 'lossless-json'
import { hfQuantConfigText, quantizationConfig, toLossless } from '../export/quantization-config.ts'
import type { PlainJson, PlainObject } from '../export/quant-algo.ts'
import {
  asObject,
  stringifyLikePython,
  type JsonObject,
  type JsonValue,
} from '../formats/hf-config/lossless-json.ts'
import { compressedIgnore, modeloptIgnore } from '../verify/ignore-list.ts'
import { LEGACY_FILE, type OpenedExport } from '../verify/open-export.ts'
import { strings } from '../verify/read-modelopt.ts'
import { SCALE_SUFFIXES } from '../verify/stored-format.ts'
import { verifyHeaders, type HeaderCheck } from '../verify/verify-export.ts'
import type { RepairSet } from './repair.ts'

const CONFIG_FILE = 'config.json'
/** Dropping a wildcard can uncover modules that are then added by name; a list that does not settle is not repaired. */
const MAX_ROUNDS = 3
const SHOWN_NAMES = 3

/** The export with repaired descriptions; their texts are in `set`. Throws what verifyHeaders throws. */
export function repairConfig(opened: OpenedExport, set: RepairSet): OpenedExport {
  let current = syncDescriptions(opened, set)
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const next = repairLists(current, set)
    if (next === current) break
    current = next
  }
  if (current.checkpoint.config !== opened.checkpoint.config)
    set.texts.set(CONFIG_FILE, stringifyLikePython(current.checkpoint.config, 2))
  if (current.legacy !== undefined && current.legacy !== opened.legacy)
    set.texts.set(LEGACY_FILE, stringifyLikePython(current.legacy, 4))
  return current
}

const PAIR_RULES = ['config.agree', 'config.both-files', 'config.nested-keys'] as const

/** config.agree, config.both-files and config.nested-keys: the description that fits the tensors is right. */
function syncDescriptions(opened: OpenedExport, set: RepairSet): OpenedExport {
  const { findings, declaration } = verifyHeaders(opened)
  const broken = PAIR_RULES.filter((rule) => findings.count(rule) > 0)
  const [rule] = broken
  if (rule === undefined || declaration?.dialect !== 'modelopt') return opened
  if (declaration.unknownAlgorithms.length > 0) return opened
  const isFlatRight = declaration.fileName === CONFIG_FILE
  const synced = isFlatRight ? withNested(opened) : withFlatOfNested(opened)
  if (synced === undefined) return opened
  set.note({
    rule,
    subject: isFlatRight ? LEGACY_FILE : CONFIG_FILE,
    action: `written anew from ${declaration.fileName}, which fits the tensors`,
    before: broken.join(', '),
    after: declaration.algorithm,
    relativeError: 0,
  })
  return synced
}

/** hf_quant_config.json from config.json; undefined without a description there. */
function withNested(opened: OpenedExport): OpenedExport | undefined {
  const flat = flatOf(opened.checkpoint.config)
  if (flat === undefined) return undefined
  const made = asObject(toLossless(JSON.parse(hfQuantConfigText(nestedFrom(flat))) as PlainJson))
  const quantization = made?.['quantization'] ?? {}
  return { ...opened, legacy: { ...made, ...opened.legacy, quantization } }
}

/** The description of config.json from hf_quant_config.json; undefined without that. */
function withFlatOfNested(opened: OpenedExport): OpenedExport | undefined {
  const nested = asObject(opened.legacy?.['quantization'])
  if (nested === undefined) return undefined
  // Keys that its readers demand may be null, so what is missing can be added without knowing more.
  const complete = {
    kv_cache_quant_algo: null,
    group_size: null,
    exclude_modules: [],
    ...plainObject(nested),
  }
  const config = asObject(toLossless(quantizationConfig(complete, 'hardened'))) ?? {}
  const legacy = { ...opened.legacy, quantization: toLossless(complete) }
  return withConfig({ ...opened, legacy }, withFlat(opened.checkpoint.config, config))
}

/** `quantization` of hf_quant_config.json from the description of config.json, in ModelOpt's order of keys. */
function nestedFrom(flat: JsonObject): PlainObject {
  const { quant_algo, quantized_layers, ignore, kv_cache_scheme: kv, ...rest } = plainObject(flat)
  const groups = Object.values(plainObject(asObject(flat['config_groups']) ?? {}))
  const sizes = groups.map((group) => (group as { weights?: { group_size?: PlainJson } }).weights?.group_size)
  const size = rest['group_size'] ?? sizes.find((value) => value !== undefined) ?? null
  return {
    quant_algo: quant_algo ?? null,
    kv_cache_quant_algo: typeof kv === 'string' ? kv : kv === undefined || kv === null ? null : 'FP8',
    ...(quantized_layers === undefined ? { group_size: size } : { quantized_layers }),
    exclude_modules: ignore ?? [],
  }
}

/** ignore.exact: one round. The same object when there is nothing to do. */
function repairLists(opened: OpenedExport, set: RepairSet): OpenedExport {
  const subjects = new Set<string>()
  const headers = verifyHeaders(opened, (rule, subject) => {
    if (rule === 'ignore.exact') subjects.add(subject)
  })
  const { declaration } = headers
  if (subjects.size === 0 || declaration === undefined || declaration.layers !== undefined) return opened
  const scaled = [...subjects].filter((module) => isScaled(module, headers))
  const missing = [...subjects].filter((module) => !scaled.includes(module))
  const coverOf = declaration.dialect === 'modelopt' ? modeloptIgnore : compressedIgnore
  const wrong = new Set(
    declaration.ignore.entries.filter((entry) => {
      const list = coverOf([entry], declaration.fileName)
      return scaled.some((module) => list.covers(module) || list.covers(`${module}.0.gate_proj`))
    }),
  )
  if (wrong.size === 0 && missing.length === 0) return opened
  const change = (entries: readonly string[]): JsonValue => [
    ...entries.filter((entry) => !wrong.has(entry)),
    ...missing.filter((module) => !entries.includes(module)),
  ]
  noteLists(set, [...wrong], missing)
  const nested = asObject(opened.legacy?.['quantization'])
  const legacy =
    nested === undefined
      ? opened.legacy
      : {
          ...opened.legacy,
          quantization: { ...nested, exclude_modules: change(strings(nested['exclude_modules'])) },
        }
  const flat = flatOf(opened.checkpoint.config)
  const withLegacy = { ...opened, legacy }
  if (flat === undefined) return withLegacy
  const ignore = change(strings(flat['ignore']))
  return withConfig(withLegacy, withFlat(opened.checkpoint.config, { ...flat, ignore }))
}

function isScaled(module: string, { tensors, model }: HeaderCheck): boolean {
  const unit = model.units.find(({ name }) => name === module)
  const modules = unit?.matrices.map((matrix) => matrix.module) ?? [module]
  return modules.some((name) => SCALE_SUFFIXES.some((suffix) => tensors.all.has(`${name}.${suffix}`)))
}

function noteLists(set: RepairSet, removed: readonly string[], added: readonly string[]): void {
  const rule = 'ignore.exact'
  const shown = (names: readonly string[]): string => {
    const rest = names.length - SHOWN_NAMES
    return names.slice(0, SHOWN_NAMES).join(', ') + (rest > 0 ? ` and ${String(rest)} more` : '')
  }
  const subject = 'exclude list'
  if (removed.length > 0)
    set.note({
      rule,
      subject,
      action: 'entries that cover modules with scales removed',
      before: shown(removed),
      after: 'not listed',
      relativeError: 0,
    })
  if (added.length > 0)
    set.note({
      rule,
      subject,
      action: 'modules without scales added',
      before: 'not listed',
      after: shown(added),
      relativeError: 0,
    })
}

function withConfig(opened: OpenedExport, config: JsonObject): OpenedExport {
  return { ...opened, checkpoint: { ...opened.checkpoint, config } }
}

/** Places of the description in config.json, in the order in which `verify` looks. */
function flatOf(config: JsonObject): JsonObject | undefined {
  return (
    asObject(config['quantization_config']) ??
    asObject(config['compression_config']) ??
    asObject(asObject(config['text_config'])?.['quantization_config'])
  )
}

function withFlat(config: JsonObject, flat: JsonObject): JsonObject {
  const text = asObject(config['text_config'])
  if (asObject(config['quantization_config']) === undefined) {
    if (asObject(config['compression_config']) !== undefined) return { ...config, compression_config: flat }
    if (asObject(text?.['quantization_config']) !== undefined)
      return { ...config, text_config: { ...text, quantization_config: flat } }
  }
  return { ...config, quantization_config: flat }
}

function plainObject(value: JsonObject): PlainObject {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

function plain(value: JsonValue): PlainJson {
  if (value instanceof LosslessNumber) return Number(value.value)
  if (value === null || typeof value !== 'object') return value
  return Array.isArray(value) ? value.map(plain) : plainObject(value)
}

/**
 * Calibration statistics as a file: our own `calibration.safetensors`, and JSON that maps ModelOpt quantizer names to values. Pure
 * functions on bytes. Source of the JSON form: a state dict of ModelOpt's quantizers, `{name: {dtype, shape, value}}`.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import { buildShardHeader, type HeaderTensor } from '../formats/safetensors/build-header.ts'
import type { TensorEntry } from '../formats/safetensors/entry.ts'
import { parseShardHeader } from '../formats/safetensors/parse-header.ts'
import { EMPTY_STATS, type CalibrationStats, type ChannelStats } from './stats.ts'

/**
 * Tensors beside the amaxes; none of these names is a quantizer's in ModelOpt. All F64 [experts] or F32 [channels], [experts, channels]:
 *   `<….mlp.experts>.expert_tokens`, `.expert_routing_weight`   tokens of each expert, and their routing weights added up
 *   `<quantizer>.channel_amax`, `.channel_mean_abs`             input channels, only with full statistics
 *   `<quantizer>.percentile_<p>`                                F32 [1] or [experts], percentile of row maxima
 *   `token_count`                                               F64 [1]
 */
const EXPERT_TOKENS_SUFFIX = '.expert_tokens'
const ROUTING_WEIGHT_SUFFIX = '.expert_routing_weight'
const CHANNEL_AMAX_SUFFIX = '.channel_amax'
const CHANNEL_MEAN_SUFFIX = '.channel_mean_abs'
const PERCENTILE_NAME = /\.percentile_[0-9.]+$/
const TOKEN_COUNT_NAME = 'token_count'
/** CWE-770: values of one site; the largest known model has 512 experts. */
const MAX_VALUES_PER_SITE = 65_536

/**
 * Reads a dump of either form. `name` is for messages. amax f32 [1] or [experts] per quantizer, counts f64 [experts], channels; a missing amax is
 * an absent key, 0 means that no data reached the site. Throws AMAX_INVALID for NaN, infinite, negative, empty or malformed values.
 */
export function parseAmaxDump(name: string, bytes: Uint8Array): CalibrationStats {
  if (bytes.length === 0) throw invalid(name, 'the file is empty')
  return looksLikeJson(bytes) ? parseJsonDump(name, bytes) : parseTensorDump(name, bytes)
}

/** Bytes of `calibration.safetensors`. An inverse of parseAmaxDump; equal statistics give equal bytes. */
export function writeCalibrationDump(stats: CalibrationStats): Uint8Array<ArrayBuffer> {
  const values = dumpTensors(stats)
  const tensors: HeaderTensor[] = [...values].map(([name, { data, shape }]) => ({
    name,
    dtype: data instanceof Float32Array ? 'F32' : 'F64',
    shape,
  }))
  const { header, dataStartBytes, fileSizeBytes, offsets } = buildShardHeader(tensors)
  const file = new Uint8Array(fileSizeBytes)
  file.set(header)
  const view = new DataView(file.buffer)
  for (const [name, { data }] of values) {
    let position = dataStartBytes + (offsets.get(name)?.beginBytes ?? 0)
    for (const value of data) {
      if (data instanceof Float32Array) view.setFloat32(position, value, true)
      else view.setFloat64(position, value, true)
      position += data.BYTES_PER_ELEMENT
    }
  }
  return file
}

interface DumpTensor {
  readonly data: Float32Array | Float64Array
  readonly shape: readonly number[]
}

function dumpTensors(stats: CalibrationStats): ReadonlyMap<string, DumpTensor> {
  const tensors = new Map<string, DumpTensor>()
  const add = (name: string, data: DumpTensor['data'], shape: readonly number[] = [data.length]): void => {
    tensors.set(name, { data, shape })
  }
  for (const [quantizer, amax] of stats.amax) add(quantizer, amax)
  for (const [experts, counts] of stats.expertTokens) add(`${experts}${EXPERT_TOKENS_SUFFIX}`, counts)
  for (const [experts, sums] of stats.routingWeights) add(`${experts}${ROUTING_WEIGHT_SUFFIX}`, sums)
  for (const [quantizer, { width, amax, meanAbs }] of stats.channels) {
    const shape = amax.length === width ? [width] : [amax.length / width, width]
    add(`${quantizer}${CHANNEL_AMAX_SUFFIX}`, amax, shape)
    add(`${quantizer}${CHANNEL_MEAN_SUFFIX}`, meanAbs, shape)
  }
  for (const [name, values] of stats.percentiles) add(name, values)
  add(TOKEN_COUNT_NAME, Float64Array.of(stats.tokenCount))
  return tensors
}

/** A safetensors file starts with a header length below 100 MB, whose high bytes are zero; JSON never has a zero byte. */
function looksLikeJson(bytes: Uint8Array): boolean {
  return !bytes.subarray(0, 8).includes(0)
}

function parseTensorDump(file: string, bytes: Uint8Array): CalibrationStats {
  const { tensors, dataStartBytes } = parseShardHeader(bytes, file, bytes.length)
  const amax = new Map<string, Float32Array>()
  const expertTokens = new Map<string, Float64Array>()
  const routingWeights = new Map<string, Float64Array>()
  const percentiles = new Map<string, Float32Array>()
  const channels = new ChannelParts()
  let tokenCount = 0
  for (const tensor of tensors) {
    const values = readValues(file, bytes, dataStartBytes, tensor)
    const { name } = tensor
    const without = (suffix: string): string => name.slice(0, -suffix.length)
    const isOfChannels = name.endsWith(CHANNEL_AMAX_SUFFIX) || name.endsWith(CHANNEL_MEAN_SUFFIX)
    checkValues(file, name, values, isOfChannels ? Infinity : MAX_VALUES_PER_SITE)
    if (name === TOKEN_COUNT_NAME) tokenCount = values[0] ?? 0
    else if (name.endsWith(EXPERT_TOKENS_SUFFIX)) {
      expertTokens.set(without(EXPERT_TOKENS_SUFFIX), Float64Array.from(values))
    } else if (name.endsWith(ROUTING_WEIGHT_SUFFIX)) {
      routingWeights.set(without(ROUTING_WEIGHT_SUFFIX), Float64Array.from(values))
    } else if (name.endsWith(CHANNEL_AMAX_SUFFIX)) {
      channels.add(without(CHANNEL_AMAX_SUFFIX), 'amax', tensor.shape, values)
    } else if (name.endsWith(CHANNEL_MEAN_SUFFIX)) {
      channels.add(without(CHANNEL_MEAN_SUFFIX), 'meanAbs', tensor.shape, values)
    } else if (PERCENTILE_NAME.test(name)) percentiles.set(name, Float32Array.from(values))
    else amax.set(name, Float32Array.from(values))
  }
  return { amax, expertTokens, routingWeights, channels: channels.finish(file), percentiles, tokenCount }
}

/** Puts the two tensors of a quantizer's channels together. */
class ChannelParts {
  private readonly parts = new Map<string, Partial<Record<'amax' | 'meanAbs', Float32Array>>>()
  private readonly widths = new Map<string, number>()

  add(
    quantizer: string,
    part: 'amax' | 'meanAbs',
    shape: readonly number[],
    values: readonly number[],
  ): void {
    this.parts.set(quantizer, { ...this.parts.get(quantizer), [part]: Float32Array.from(values) })
    this.widths.set(quantizer, shape.at(-1) ?? 0)
  }

  finish(file: string): ReadonlyMap<string, ChannelStats> {
    return new Map(
      [...this.parts].map(([quantizer, { amax, meanAbs }]) => {
        if (amax === undefined || meanAbs?.length !== amax.length) {
          throw invalid(`${file}: ${quantizer}`, 'its channel maxima and means do not belong together')
        }
        return [quantizer, { width: this.widths.get(quantizer) ?? 0, amax, meanAbs }]
      }),
    )
  }
}

function readValues(file: string, bytes: Uint8Array, dataStartBytes: number, tensor: TensorEntry): number[] {
  const { name, dtype, beginBytes, endBytes } = tensor
  const view = new DataView(
    bytes.buffer,
    bytes.byteOffset + dataStartBytes + beginBytes,
    endBytes - beginBytes,
  )
  const read = (itemBytes: number, at: (position: number) => number): number[] =>
    Array.from({ length: view.byteLength / itemBytes }, (_, index) => at(index * itemBytes))
  if (dtype === 'F32') return read(4, (position) => view.getFloat32(position, true))
  if (dtype === 'F64') return read(8, (position) => view.getFloat64(position, true))
  if (dtype === 'I32') return read(4, (position) => view.getInt32(position, true))
  if (dtype === 'I64') return read(8, (position) => Number(view.getBigInt64(position, true)))
  throw invalid(`${file}: ${name}`, `dtype ${dtype} is not one a calibration dump uses (F32, F64, I32, I64)`)
}

function parseJsonDump(file: string, bytes: Uint8Array): CalibrationStats {
  let root: unknown
  try {
    root = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error: unknown) {
    throw invalid(file, `it is not valid JSON: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
  if (typeof root !== 'object' || root === null || Array.isArray(root)) {
    throw invalid(file, 'its root is not an object of quantizer names')
  }
  const amax = new Map<string, Float32Array>()
  for (const [name, entry] of Object.entries(root)) amax.set(name, jsonValues(file, name, entry))
  if (amax.size === 0) throw invalid(file, 'it names no quantizer')
  return { ...EMPTY_STATS, amax }
}

/** A number, a list of numbers, or `{value: …}` with either, as ModelOpt state dicts are dumped. */
function jsonValues(file: string, name: string, entry: unknown): Float32Array {
  const value: unknown = typeof entry === 'object' && entry !== null && 'value' in entry ? entry.value : entry
  const list: unknown[] = Array.isArray(value) ? value.flat(4) : [value]
  const numbers = list.filter((item) => typeof item === 'number')
  if (numbers.length !== list.length) {
    throw invalid(`${file}: ${name}`, 'the amax is not a number or a list of numbers')
  }
  checkValues(file, name, numbers)
  return Float32Array.from(numbers)
}

function checkValues(
  file: string,
  name: string,
  values: readonly number[],
  maxValues = MAX_VALUES_PER_SITE,
): void {
  if (values.length === 0 || values.length > maxValues) {
    throw invalid(`${file}: ${name}`, `it has ${String(values.length)} values`)
  }
  const bad = values.find((value) => !(value >= 0 && Number.isFinite(Math.fround(value))))
  if (bad !== undefined) {
    throw invalid(`${file}: ${name}`, `${String(bad)} is not a finite, non-negative number`)
  }
}

function invalid(subject: string, problem: string): AppError {
  return new AppError('AMAX_INVALID', {
    subject,
    problem,
    remedy: 'give a calibration.safetensors, or JSON that maps quantizer names to amax values',
  })
}

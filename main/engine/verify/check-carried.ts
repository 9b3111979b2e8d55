/** KV cache scales, blocks that are carried over, and tensors that nothing accounts for; names and headers only. */
import { isMtp, isVision } from '../models/qwen3_5-moe/carried-tensors.ts'
import { mixerTensors, routerTensor, tensorsAfterExperts } from '../models/qwen3_5-moe/tensor-shapes.ts'
import { checkPlain, isSameShape } from './check-parts.ts'
import type { TensorContext } from './check-tensors.ts'
import { isFloat } from './read-floats.ts'
import { SCALE_SUFFIXES } from './stored-format.ts'

/** k_scale and v_scale: all layers or none, and only when a KV format is declared. */
export function checkKvScales(context: TensorContext): void {
  const { model, declaration, tensors, findings } = context
  const found: string[] = []
  const missing: string[] = []
  for (const module of model.kvModules) {
    for (const letter of ['k', 'v']) {
      const exported = `${module}.${letter}_proj.${letter}_scale`
      const name = [exported, `${module}.${letter}_scale`].find((candidate) => tensors.all.has(candidate))
      if (name === undefined) missing.push(exported)
      else found.push(name)
    }
  }
  for (const name of found) checkKvScale(context, name)
  if (found.length === 0) return
  if (declaration?.kv === 'none') {
    const problem = 'there are cache scales, but no KV cache format is declared'
    findings.add('config.kv-scales', found[0] ?? '', problem)
  }
  for (const name of missing) {
    if (!tensors.isMissing(name)) continue
    findings.add('config.kv-scales', name, 'this scale is missing, other layers have theirs')
  }
}

function checkKvScale({ tensors, findings }: TensorContext, name: string): void {
  const tensor = tensors.take(name)
  if (tensor === undefined) return
  if (!isFloat(tensor.dtype)) {
    findings.add('tensor.dtype', name, `it is ${tensor.dtype}, a cache scale is F32`)
  } else if (!isSameShape(tensor.shape, []) && !isSameShape(tensor.shape, [1])) {
    findings.add('tensor.shape', name, 'a cache scale is a scalar')
  }
}

/** Completeness of the blocks that are carried over, from the configuration alone. */
export function checkCarried(context: TensorContext): void {
  const { model, tensors, findings } = context
  // What the index promises counts as present: that no shard has it is a finding of its own.
  const names = [...tensors.all.keys(), ...tensors.unresolved]
  const vision = names.filter(isVision)
  const mtp = names.filter(isMtp)
  for (const name of [...vision, ...mtp]) tensors.take(name)
  if (model.hasVisionConfig && vision.length === 0) {
    findings.add('carried.vision', 'model.visual', 'config.json has a vision tower, the weights do not')
  }
  for (const name of missingInBlocks(vision)) {
    if (!tensors.isMissing(name)) continue
    findings.add('carried.vision', name, 'this tensor is missing, other blocks have theirs')
  }
  if (model.mtpLayerCount === 0) return
  if (mtp.length > 0) for (const expected of mtpTensors(context)) checkMtpTensor(context, expected)
  else {
    findings.add('carried.mtp', 'mtp', 'config.json has a multi-token-prediction block, the weights do not')
  }
}

interface NamedShape {
  readonly name: string
  readonly shape: readonly number[]
}

/** Other tools may quantize the block; of a quantized matrix only the presence is checked. */
function checkMtpTensor(context: TensorContext, { name, shape }: NamedShape): void {
  const { tensors, findings } = context
  const tensor = tensors.all.get(name)
  if (tensor !== undefined) {
    if (isFloat(tensor.dtype)) checkPlain(context, name, shape)
    return
  }
  if (!tensors.isMissing(name) || tensors.all.has(name.replace(/\.weight$/, '.weight_packed'))) return
  findings.add('carried.mtp', name, 'this tensor is missing')
}

/** Blocks are numbered alike: what one has, all have. */
function missingInBlocks(names: readonly string[]): readonly string[] {
  const blocks = new Map<string, Set<string>>()
  const suffixes = new Map<string, Set<string>>()
  for (const name of names) {
    const match = /^(.*\.blocks)\.(\d+)\.(.+)$/.exec(name)
    if (match === null) continue
    const [, stem = '', number = '', suffix = ''] = match
    const numbers = blocks.get(stem) ?? new Set()
    blocks.set(stem, numbers.add(number))
    const known = suffixes.get(stem) ?? new Set()
    suffixes.set(stem, known.add(suffix))
  }
  const present = new Set(names)
  return [...blocks].flatMap(([stem, numbers]) =>
    [...numbers].flatMap((number) =>
      [...(suffixes.get(stem) ?? [])]
        .map((suffix) => `${stem}.${number}.${suffix}`)
        .filter((name) => !present.has(name)),
    ),
  )
}

/** Names and shapes of the MTP block; its experts may be stored either way. */
function mtpTensors({ model, tensors }: TensorContext): readonly NamedShape[] {
  const { hiddenSize: h, expertCount, expertWidth: f } = model.text
  const list = [
    { name: 'mtp.fc.weight', shape: [h, 2 * h] },
    { name: 'mtp.pre_fc_norm_embedding.weight', shape: [h] },
    { name: 'mtp.pre_fc_norm_hidden.weight', shape: [h] },
    { name: 'mtp.norm.weight', shape: [h] },
  ]
  for (let index = 0; index < model.mtpLayerCount; index += 1) {
    const layer = `mtp.layers.${String(index)}`
    const members = [
      ...mixerTensors('full_attention', model.text),
      routerTensor(model.text),
      ...tensorsAfterExperts(model.text),
    ]
    list.push(...members.map(({ name, shape }) => ({ name: `${layer}.${name}`, shape: [...shape] })))
    const experts = `${layer}.mlp.experts`
    if (tensors.all.has(`${experts}.gate_up_proj`) || tensors.all.has(`${experts}.down_proj`)) {
      list.push(
        { name: `${experts}.gate_up_proj`, shape: [expertCount, 2 * f, h] },
        { name: `${experts}.down_proj`, shape: [expertCount, h, f] },
      )
      continue
    }
    for (let expert = 0; expert < expertCount; expert += 1) {
      const name = (projection: string): string => `${experts}.${String(expert)}.${projection}.weight`
      list.push(
        { name: name('gate_proj'), shape: [f, h] },
        { name: name('up_proj'), shape: [f, h] },
        { name: name('down_proj'), shape: [h, f] },
      )
    }
  }
  return list
}

const SCALE_NAME = new RegExp(`\\.(${SCALE_SUFFIXES.join('|')}|[kv]_scale)$`)

/** What no rule has accounted for. Within decoder layers, and for anything that looks like a scale, this is a wrong name. */
export function checkUnknown({ model, tensors, findings }: TensorContext): void {
  for (const { name } of tensors.unaccounted()) {
    const isOurs = name.startsWith(`${model.prefix}.layers.`) || SCALE_NAME.test(name)
    if (isOurs) findings.add('names.exact', name, 'the model has no tensor of this name')
    else findings.add('names.unknown', name, 'the model family does not know this tensor')
  }
}

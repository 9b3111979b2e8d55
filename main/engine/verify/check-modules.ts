/** Rules on modules and lists: exclude list, mixed-precision map, fused projections, KV scales, carried blocks, unknown tensors, index. */
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { isMtp, isVision } from '../models/qwen3_5-moe/carried-tensors.ts'
import { mixerTensors, routerTensor, tensorsAfterExperts } from '../models/qwen3_5-moe/tensor-shapes.ts'
import { checkPlain, isSameShape, type TensorContext } from './check-tensors.ts'
import type { Findings } from './findings.ts'
import { INDEX_FILE, type OpenedExport } from './open-export.ts'
import { SCALE_SUFFIXES } from './stored-format.ts'

/** Index against shards. */
export function checkIndex(opened: OpenedExport, findings: Findings): void {
  const { checkpoint, indexProblems, hasIndex, declaredTotalBytes } = opened
  for (const { code, subject, problem } of indexProblems) {
    findings.add(code === 'INDEX_INVALID' ? 'index.complete' : 'index.resolvable', subject, problem)
  }
  if (!hasIndex) {
    if (checkpoint.shards.length > 1)
      findings.add('index.complete', INDEX_FILE, 'there are several shards and no index')
    else
      for (const rule of ['index.resolvable', 'index.complete', 'index.total-size'] as const)
        findings.skip(rule)
    return
  }
  const actual = checkpoint.totalTensorBytes
  if (indexProblems.length > 0 || declaredTotalBytes === undefined) findings.skip('index.total-size')
  else if (declaredTotalBytes !== actual) {
    const problem = `total_size is ${String(declaredTotalBytes)}, the tensors have ${String(actual)} bytes (${formatBytes(actual, 'en')})`
    findings.add('index.total-size', INDEX_FILE, problem)
  }
}

/** Modules without a format of their own must be excluded, every entry must mean something, and maps must name modules. */
export function checkLists(context: TensorContext): void {
  const { model, declaration, findings } = context
  if (declaration === undefined || declaration.unknownAlgorithms.length > 0) {
    for (const rule of [
      'ignore.exact',
      'ignore.unmatched',
      'config.layers-known',
      'config.fused-formats',
    ] as const)
      findings.skip(rule)
    return
  }
  const carried = mtpModules(context)
  for (const { name, kind } of [...model.unquantizable, ...carried]) {
    if (declaration.formatOf(name, kind) === undefined) continue
    findings.add(
      'ignore.exact',
      name,
      `it has no scales and is not excluded (${declaration.algorithm} is declared)`,
    )
  }
  checkEntries(
    context,
    carried.map(({ name }) => name),
  )
  checkGroups(context)
  if (declaration.layers === undefined) findings.skip('config.layers-known')
  const known = new Set(model.units.map(({ name }) => name))
  for (const module of declaration.layers?.keys() ?? []) {
    const experts = /^(.*\.experts)\.\d+\./.exec(module)?.[1]
    if (known.has(module) || (experts !== undefined && known.has(experts))) continue
    findings.add('config.layers-known', module, 'the model has no such module')
  }
}

type Carried = { readonly name: string; readonly kind: 'linear' | 'experts' | 'router' }

/** Matrices of the MTP block that are stored without scales. Precision maps need no entry for them. */
function mtpModules({ tensors, declaration }: TensorContext): readonly Carried[] {
  if (declaration?.layers !== undefined) return []
  const modules = new Map<string, Carried>()
  for (const { name, shape, dtype } of tensors.all.values()) {
    if (!isMtp(name) || shape.length < 2 || !['BF16', 'F16', 'F32'].includes(dtype)) continue
    const fused = /^(.*\.experts)\.(gate_up_proj|down_proj)$/.exec(name)?.[1]
    const single = /^(.*\.experts)\.\d+\./.exec(name)?.[1]
    const module = fused ?? single ?? name.slice(0, Math.max(0, name.lastIndexOf('.')))
    if (SCALE_SUFFIXES.some((suffix) => tensors.all.has(`${module}.${suffix}`))) continue
    const kind = (fused ?? single) ? 'experts' : module.endsWith('.mlp.gate') ? 'router' : 'linear'
    modules.set(module, { name: module, kind })
  }
  return [...modules.values()]
}

/** Names that engines make of several modules; listing them excludes what they are made of. */
const FUSED_NAME = /\.(qkv_proj|gate_up_proj|in_proj_qkvz|in_proj_ba)$/

function checkEntries(
  { model, declaration, tensors, findings }: TensorContext,
  carried: readonly string[],
): void {
  const names = new Set([...model.units, ...model.unquantizable].map(({ name }) => name).concat(carried))
  const prefixes = new Set<string>(['mtp', 'mtp.fc', 'mtp.layers'])
  for (const name of [...names, ...tensors.all.keys()]) {
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1))
      prefixes.add(name.slice(0, dot))
  }
  for (const entry of declaration?.ignore.entries ?? []) {
    const isPattern = /[*?[]/.test(entry) || entry.startsWith('re:')
    // Patterns are judged by their literal beginning: enough to catch a misspelt prefix.
    const literal = entry.replace(/^re:/, '').replace(/[*?[\\^$(+|].*$/s, '')
    const stem = literal.replace(/\.$/, '')
    const isKnown = isPattern
      ? literal === '' ||
        entry.startsWith('re:') ||
        names.has(stem) ||
        prefixes.has(stem) ||
        startsAny(prefixes, literal)
      : names.has(entry) || prefixes.has(entry) || FUSED_NAME.test(entry)
    if (!isKnown) findings.add('ignore.unmatched', entry, 'no module of this export has this name')
  }
}

function startsAny(prefixes: ReadonlySet<string>, literal: string): boolean {
  for (const prefix of prefixes) if (prefix.startsWith(literal)) return true
  return false
}

function checkGroups({ model, declaration, findings }: TensorContext): void {
  const units = new Map(model.units.map(({ name, kind }) => [name, kind]))
  for (const group of model.groups) {
    const formats = group.map((name) => {
      const kind = units.get(name)
      const stored = kind === undefined ? undefined : declaration?.formatOf(name, kind)
      return stored === undefined
        ? 'unquantized'
        : `${stored.name} ${String(stored.format.blockSize ?? '')}`.trim()
    })
    const other = formats.findIndex((format) => format !== formats[0])
    if (other === -1) continue
    const problem = `it is ${formats[other] ?? ''}, but ${group[0] ?? ''}, with which engines fuse it, is ${formats[0] ?? ''}`
    findings.add('config.fused-formats', group[other] ?? '', problem)
  }
}

/** k_scale and v_scale: all layers or none, and only when a KV format is declared. */
export function checkKvScales({ model, declaration, tensors, findings }: TensorContext): void {
  const found: string[] = []
  const missing: string[] = []
  for (const module of model.kvModules) {
    for (const letter of ['k', 'v']) {
      const names = [`${module}.${letter}_proj.${letter}_scale`, `${module}.${letter}_scale`]
      const name = names.find((candidate) => tensors.all.has(candidate))
      if (name === undefined) missing.push(names[0] ?? '')
      else {
        found.push(name)
        const tensor = tensors.take(name)
        if (tensor !== undefined && !['F32', 'BF16', 'F16'].includes(tensor.dtype)) {
          findings.add('tensor.dtype', name, `it is ${tensor.dtype}, a cache scale is F32`)
        } else if (
          tensor !== undefined &&
          !isSameShape(tensor.shape, []) &&
          !isSameShape(tensor.shape, [1])
        ) {
          findings.add('tensor.shape', name, 'a cache scale is a scalar')
        }
      }
    }
  }
  if (found.length > 0 && declaration?.kv === 'none') {
    findings.add(
      'config.kv-scales',
      found[0] ?? '',
      'there are cache scales, but no KV cache format is declared',
    )
  }
  if (found.length === 0) return
  for (const name of missing) {
    if (tensors.isMissing(name))
      findings.add('config.kv-scales', name, 'this scale is missing, other layers have theirs')
  }
}

/** Completeness of the blocks that are carried over, from the configuration alone. */
export function checkCarried(context: TensorContext): void {
  const { model, tensors, findings } = context
  const names = [...tensors.all.keys()]
  const vision = names.filter(isVision)
  for (const name of [...vision, ...names.filter(isMtp)]) tensors.take(name)
  if (model.hasVisionConfig && vision.length === 0) {
    findings.add('carried.vision', 'model.visual', 'config.json has a vision tower, the weights do not')
  }
  for (const name of missingInBlocks(vision)) {
    if (tensors.isMissing(name))
      findings.add('carried.vision', name, 'this tensor is missing, other blocks have theirs')
  }
  if (model.mtpLayerCount === 0) return
  if (!names.some(isMtp)) {
    findings.add('carried.mtp', 'mtp', 'config.json has a multi-token-prediction block, the weights do not')
    return
  }
  for (const { name, shape } of mtpTensors(context)) {
    const module = name.replace(/\.weight$/, '')
    const tensor = tensors.all.get(name)
    if (tensor === undefined && !tensors.all.has(`${module}.weight_packed`)) {
      if (tensors.isMissing(name)) findings.add('carried.mtp', name, 'this tensor is missing')
    } else if (tensor !== undefined && ['BF16', 'F16', 'F32'].includes(tensor.dtype)) {
      if (!isSameShape(tensor.shape, shape)) checkPlain(context, name, shape)
    }
  }
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
function mtpTensors({
  model,
  tensors,
}: TensorContext): readonly { readonly name: string; readonly shape: readonly number[] }[] {
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

/** Exclude list, mixed-precision map and fused projections against the modules of the model. */
import { isMtp } from '../models/qwen3_5-moe/carried-tensors.ts'
import type { TensorContext } from './check-tensors.ts'
import { isFloat } from './read-floats.ts'
import { formatKey, SCALE_SUFFIXES } from './stored-format.ts'

const LIST_RULES = [
  'ignore.exact',
  'ignore.unmatched',
  'config.layers-known',
  'config.fused-formats',
] as const

/** Modules without a format must be excluded, every entry must mean something, maps must name modules, fused modules must agree. */
export function checkLists(context: TensorContext): void {
  const { model, declaration, findings } = context
  if (declaration === undefined || declaration.unknownAlgorithms.length > 0) {
    for (const rule of LIST_RULES) findings.skip(rule)
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
  checkLayers(context)
}

function checkLayers({ model, declaration, findings }: TensorContext): void {
  if (declaration?.layers === undefined) findings.skip('config.layers-known')
  const known = new Set(model.units.map(({ name }) => name))
  for (const module of declaration?.layers?.keys() ?? []) {
    const experts = /^(.*\.experts)\.\d+\./.exec(module)?.[1]
    if (known.has(module) || (experts !== undefined && known.has(experts))) continue
    findings.add('config.layers-known', module, 'the model has no such module')
  }
}

interface Carried {
  readonly name: string
  readonly kind: 'linear' | 'experts' | 'router'
}

/** Matrices of the MTP block that are stored without scales. Precision maps need no entry for them. */
function mtpModules({ tensors, declaration }: TensorContext): readonly Carried[] {
  if (declaration?.layers !== undefined) return []
  const modules = new Map<string, Carried>()
  for (const { name, shape, dtype } of tensors.all.values()) {
    if (!isMtp(name) || shape.length < 2 || !isFloat(dtype)) continue
    const module = mtpModule(name)
    const isScaled = SCALE_SUFFIXES.some((suffix) => tensors.all.has(`${module.name}.${suffix}`))
    if (!isScaled) modules.set(module.name, module)
  }
  return [...modules.values()]
}

function mtpModule(tensor: string): Carried {
  const experts = /^(.*\.experts)\.(gate_up_proj$|down_proj$|\d+\.)/.exec(tensor)?.[1]
  if (experts !== undefined) return { name: experts, kind: 'experts' }
  const name = tensor.slice(0, Math.max(0, tensor.lastIndexOf('.')))
  return { name, kind: name.endsWith('.mlp.gate') ? 'router' : 'linear' }
}

/** Names that engines make of several modules; listing them excludes what they are made of. */
const FUSED_NAME = /\.(qkv_proj|gate_up_proj|in_proj_qkvz|in_proj_ba)$/

function checkEntries(context: TensorContext, carried: readonly string[]): void {
  const { model, declaration, tensors, findings } = context
  const names = new Set([...model.units, ...model.unquantizable].map(({ name }) => name).concat(carried))
  const prefixes = new Set<string>(['mtp', 'mtp.fc', 'mtp.layers'])
  for (const name of [...names, ...tensors.all.keys()]) {
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
      prefixes.add(name.slice(0, dot))
    }
  }
  for (const name of names) prefixes.add(name)
  for (const entry of declaration?.ignore.entries ?? []) {
    if (isKnownEntry(entry, prefixes)) continue
    findings.add('ignore.unmatched', entry, 'no module of this export has this name')
  }
}

/** Patterns are judged by their literal beginning, which catches a misspelt prefix; regular expressions usually have none. */
function isKnownEntry(entry: string, prefixes: ReadonlySet<string>): boolean {
  if (entry.startsWith('re:') || FUSED_NAME.test(entry) || prefixes.has(entry)) return true
  const wildcard = entry.search(/[*?[]/)
  return wildcard !== -1 && startsAny(prefixes, entry.slice(0, wildcard).replace(/\.$/, ''))
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
      return stored === undefined ? 'unquantized' : formatKey(stored)
    })
    const other = formats.findIndex((format) => format !== formats[0])
    if (other === -1) continue
    const problem = `it is ${formats[other] ?? ''}, but ${group[0] ?? ''}, with which engines fuse it, is ${formats[0] ?? ''}`
    findings.add('config.fused-formats', group[other] ?? '', problem)
  }
}

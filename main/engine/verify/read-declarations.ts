/** Finds the quantization descriptions of an export, compares them and picks the one that its tensors follow. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { asObject } from '../formats/hf-config/lossless-json.ts'
import type { Declaration } from './declaration.ts'
import { isSameShape } from './check-parts.ts'
import type { ExpectedModel, ExpectedUnit } from './expected-model.ts'
import type { Findings } from './findings.ts'
import { LEGACY_FILE, type OpenedExport } from './open-export.ts'
import { readCompressed } from './read-compressed.ts'
import { readFlat, readNested } from './read-modelopt.ts'
import { partRules } from './stored-format.ts'

/**
 * Every description: config.json first. Throws DIALECT_UNSUPPORTED for methods other than modelopt and compressed-tensors, and what the
 * readers throw.
 */
export function readDeclarations({ checkpoint, legacy }: OpenedExport): readonly Declaration[] {
  const { config } = checkpoint
  const flat =
    asObject(config['quantization_config']) ??
    asObject(config['compression_config']) ??
    asObject(asObject(config['text_config'])?.['quantization_config'])
  const declarations: Declaration[] = []
  if (flat !== undefined) {
    const method = typeof flat['quant_method'] === 'string' ? flat['quant_method'] : 'modelopt'
    if (method === 'compressed-tensors') declarations.push(readCompressed(flat))
    else if (method.startsWith('modelopt')) declarations.push(readFlat(flat))
    else {
      throw new AppError('DIALECT_UNSUPPORTED', {
        subject: 'config.json: quant_method',
        problem: `${JSON.stringify(method.slice(0, 60))} is neither modelopt nor compressed-tensors`,
        remedy: 'verify this checkpoint with the tool that wrote it',
      })
    }
  }
  if (legacy !== undefined) declarations.push(readNested(legacy))
  return declarations
}

/** Rules of the configuration files themselves. */
export function checkDeclarations(declarations: readonly Declaration[], findings: Findings): void {
  const [first, second] = declarations
  if (first === undefined) {
    const problem = 'no quantization is declared: this is not a quantized export'
    findings.add('config.declared', 'config.json', problem)
    return
  }
  for (const declaration of declarations) checkDeclaration(declaration, findings)
  if (second !== undefined) compare(first, second, findings)
  else if (first.dialect === 'modelopt') {
    const missing = first.fileName === LEGACY_FILE ? 'config.json: quantization_config' : LEGACY_FILE
    findings.add('config.both-files', missing, 'missing; only one of the two descriptions exists')
  }
}

function checkDeclaration(declaration: Declaration, findings: Findings): void {
  const { fileName, unknownAlgorithms, missingKeys, algorithm, kv, groupSizes } = declaration
  for (const name of unknownAlgorithms) {
    findings.add('config.declared', fileName, `the algorithm ${name.slice(0, 60)} is not known`)
  }
  if (algorithm === 'none' && kv === 'none') {
    findings.add('config.declared', fileName, 'it declares neither weights nor KV cache as quantized')
  }
  for (const key of missingKeys) findings.add('config.nested-keys', key, `${fileName} lacks this key`)
  if (groupSizes.length > 1 && algorithm !== 'MIXED_PRECISION') {
    findings.add('config.agree', fileName, `it declares block sizes ${groupSizes.join(' and ')}`)
  }
}

function compare(a: Declaration, b: Declaration, findings: Findings): void {
  const differ = (what: string, left: string, right: string): void => {
    if (left === right) return
    findings.add(
      'config.agree',
      what,
      `${a.fileName} says ${shown(left)}, ${b.fileName} says ${shown(right)}`,
    )
  }
  differ('dialect', a.dialect, b.dialect)
  differ('quant_algo', a.algorithm, b.algorithm)
  differ('kv_cache', a.kv, b.kv)
  if (a.layers === undefined || b.layers === undefined) {
    const areSingle = a.groupSizes.length === 1 && b.groupSizes.length === 1
    if (areSingle) differ('group_size', a.groupSizes.join(), b.groupSizes.join())
  } else {
    for (const module of new Set([...a.layers.keys(), ...b.layers.keys()])) {
      differ(module, a.layers.get(module) ?? 'nothing', b.layers.get(module) ?? 'nothing')
    }
  }
  compareIgnored(a, b, findings)
  compareIgnored(b, a, findings)
}

function compareIgnored(from: Declaration, to: Declaration, findings: Findings): void {
  const listed = new Set(to.ignore.entries)
  const missing = from.ignore.entries.filter((entry) => !listed.has(entry))
  const [first] = missing
  if (first === undefined) return
  const more = missing.length === 1 ? '' : ` and ${String(missing.length - 1)} more`
  findings.add('config.agree', first, `this excluded module${more} is not listed in ${to.fileName}`)
}

/**
 * The description that fits the stored tensors best; the first one when both fit equally. With two that disagree, every further rule is
 * judged by this one, so that one wrong file is one finding and not hundreds.
 */
export function fittingDeclaration(
  declarations: readonly Declaration[],
  { units }: ExpectedModel,
  tensors: Tensors,
): Declaration | undefined {
  let best: Declaration | undefined
  let bestScore = -1
  for (const declaration of declarations) {
    const score = units.filter((unit) => fits(declaration, unit, tensors)).length
    if (score <= bestScore) continue
    best = declaration
    bestScore = score
  }
  return best
}

type Tensors = OpenedExport['checkpoint']['tensors']

/** True when the first matrix of a unit is stored as declared. */
function fits(declaration: Declaration, { name, kind, matrices }: ExpectedUnit, tensors: Tensors): boolean {
  const [matrix] = matrices
  if (matrix === undefined) return false
  const stored = declaration.formatOf(name, kind)
  if (stored === undefined) return !tensors.has(`${matrix.module}.weight_scale`)
  try {
    return partRules(stored, matrix.rows, matrix.cols).every(({ suffix, dtypes, shapes, isOptional }) => {
      const tensor = tensors.get(`${matrix.module}.${suffix}`)
      if (tensor === undefined) return isOptional
      const hasShape = shapes?.some((shape) => isSameShape(shape, tensor.shape)) ?? true
      return hasShape && dtypes.includes(tensor.dtype)
    })
  } catch (error: unknown) {
    if (error instanceof AppError) return false
    throw error
  }
}

function shown(value: string): string {
  return value.length > 80 ? `${value.slice(0, 80)}…` : value
}

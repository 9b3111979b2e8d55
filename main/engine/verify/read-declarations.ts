/** Finds the quantization descriptions of an export, compares them and picks the one that its tensors follow. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { asObject } from '../formats/hf-config/lossless-json.ts'
import type { Declaration } from './declaration.ts'
import type { ExpectedModel } from './expected-model.ts'
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
    findings.add(
      'config.declared',
      'config.json',
      'no quantization is declared: this is not a quantized export',
    )
    return
  }
  for (const { fileName, unknownAlgorithms, missingKeys, algorithm, kv } of declarations) {
    for (const name of unknownAlgorithms) {
      findings.add('config.declared', fileName, `the algorithm ${name.slice(0, 60)} is not known`)
    }
    if (algorithm === 'none' && kv === 'none') {
      findings.add('config.declared', fileName, 'it declares neither weights nor KV cache as quantized')
    }
    for (const key of missingKeys) findings.add('config.nested-keys', key, `${fileName} lacks this key`)
  }
  for (const { fileName, groupSizes, algorithm } of declarations) {
    if (groupSizes.length > 1 && algorithm !== 'MIXED_PRECISION') {
      findings.add('config.agree', fileName, `it declares block sizes ${groupSizes.join(' and ')}`)
    }
  }
  if (second !== undefined) compare(first, second, findings)
  else if (first.dialect === 'modelopt') {
    const missing = first.fileName === LEGACY_FILE ? 'config.json: quantization_config' : LEGACY_FILE
    findings.add('config.both-files', missing, 'missing; only one of the two descriptions exists')
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
  const isUniform = a.layers === undefined && b.layers === undefined
  if (isUniform && a.groupSizes.length === 1 && b.groupSizes.length === 1) {
    differ('group_size', a.groupSizes.join(), b.groupSizes.join())
  }
  const [left, right] = [new Set(a.ignore.entries), new Set(b.ignore.entries)]
  for (const [from, to, file] of [
    [left, right, b.fileName],
    [right, left, a.fileName],
  ] as const) {
    const missing = [...from].filter((entry) => !to.has(entry))
    if (missing.length === 0) continue
    const more = missing.length === 1 ? '' : ` and ${String(missing.length - 1)} more`
    findings.add('config.agree', missing[0] ?? '', `this excluded module${more} is not listed in ${file}`)
  }
  const modules = new Set([...(a.layers?.keys() ?? []), ...(b.layers?.keys() ?? [])])
  if (a.layers === undefined || b.layers === undefined) return
  for (const module of modules)
    differ(module, a.layers.get(module) ?? 'nothing', b.layers.get(module) ?? 'nothing')
}

/**
 * The description that fits the stored tensors best; the first one when both fit equally. With two that disagree, every further rule is
 * judged by this one, so that one wrong file is one finding and not hundreds.
 */
export function fittingDeclaration(
  declarations: readonly Declaration[],
  { units }: ExpectedModel,
  tensors: OpenedExport['checkpoint']['tensors'],
): Declaration | undefined {
  let best: Declaration | undefined
  let bestScore = -1
  for (const declaration of declarations) {
    let score = 0
    for (const { name, kind, matrices } of units) {
      const [matrix] = matrices
      if (matrix === undefined) continue
      const format = declaration.formatOf(name, kind)
      const isScaled = tensors.has(`${matrix.module}.weight_scale`)
      if (format === undefined) {
        score += isScaled ? 0 : 1
        continue
      }
      try {
        const fits = partRules(format, matrix.rows, matrix.cols).every(
          ({ suffix, dtypes, shapes, isOptional }) => {
            const tensor = tensors.get(`${matrix.module}.${suffix}`)
            if (tensor === undefined) return isOptional
            return (
              dtypes.includes(tensor.dtype) &&
              (shapes?.some((shape) => shape.join() === tensor.shape.join()) ?? true)
            )
          },
        )
        score += fits ? 1 : 0
      } catch (error: unknown) {
        if (!(error instanceof AppError)) throw error
      }
    }
    if (score > bestScore) {
      best = declaration
      bestScore = score
    }
  }
  return best
}

function shown(value: string): string {
  return value.length > 80 ? `${value.slice(0, 80)}…` : value
}

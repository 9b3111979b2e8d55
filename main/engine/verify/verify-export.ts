/**
 * Verifies an export of this or another tool: headers against the configuration, values of scales and codes, optionally everything against
 * the source checkpoint. Reads every tensor once, in bounded memory; nothing is written or executed.
 */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { FormatError, VerifyReport } from '../../../shared/domain/verify-report.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { openCheckpoint } from '../checkpoint/open-checkpoint.ts'
import type { CheckpointFolder } from '../io/ports.ts'
import { weightLayout } from '../quant/layout.ts'
import { checkCarried, checkKvScales, checkUnknown } from './check-carried.ts'
import { checkIndex } from './check-index.ts'
import { checkLists } from './check-lists.ts'
import { checkFinite, checkScales, type ScaleContext } from './check-scales.ts'
import { checkCopies, checkModel } from './check-copies.ts'
import { checkErrors } from './check-errors.ts'
import { checkSideFiles } from './check-side-files.ts'
import { checkTensors, type CheckedTensors } from './check-tensors.ts'
import { PlainComparer, type MatrixComparer } from './compare-matrix.ts'
import type { Declaration } from './declaration.ts'
import { expectedModel, type ExpectedModel } from './expected-model.ts'
import { Findings, type FindingListener } from './findings.ts'
import { judgeEngines, type EngineFacts } from './judge-engines.ts'
import { openExport, type OpenedExport } from './open-export.ts'
import { checkDeclarations, fittingDeclaration, readDeclarations } from './read-declarations.ts'
import { ENGINE_RULES_VERSION } from './rules/engine-rules.ts'
import { EXPORT_RULES_VERSION } from './rules/export-rules.ts'
import { sourceView, type SourceView } from './source-view.ts'
import { formatKey } from './stored-format.ts'
import { StoredTensors } from './stored-tensors.ts'
import { tensorParallel } from './tensor-parallel.ts'
import { WindowedReader } from './windowed-reader.ts'

export interface VerifyOptions {
  /** The checkpoint the export was made from. */
  readonly source?: CheckpointFolder | undefined
  /** An engine that must be able to load the export; undefined = all verdicts are information. */
  readonly engine?: EngineVerdict['engine'] | undefined
  /** Headers and configuration alone: no tensor is read, the source is not used. @default false */
  readonly isHeadersOnly?: boolean | undefined
  readonly isCancelled?: (() => boolean) | undefined
  /** With a source: who compares matrices. @default this thread, one after the other */
  readonly makeComparer?: ((exported: Checkpoint, source: Checkpoint) => MatrixComparer) | undefined
  /** With a source: relative error of every matrix, as it is compared. */
  readonly onMatrixError?: ((module: string, relativeError: number) => void) | undefined
}

/** What headers and configuration alone say. */
export interface HeaderCheck {
  readonly opened: OpenedExport
  readonly model: ExpectedModel
  readonly declaration: Declaration | undefined
  readonly tensors: StoredTensors
  readonly checked: CheckedTensors
  readonly findings: Findings
}

/** Everything that was found out about an export, with what a repair needs to know beyond the report. */
export interface Examined {
  readonly headers: HeaderCheck
  readonly compared: Compared
  /** Matrices of which a rule about values was broken. */
  readonly broken: ReadonlySet<string>
}

/**
 * Verifies a folder. A broken rule is a finding; only what cannot be read as an export is thrown: CONFIG_*, SAFETENSORS_*, INDEX_INVALID for a
 * malformed index, PATH_ESCAPES_CHECKPOINT, ARCHITECTURE_UNSUPPORTED, DIALECT_UNSUPPORTED, FORMAT_UNSUPPORTED, READ_FAILED, CANCELLED.
 */
export async function verifyExport(
  folder: CheckpointFolder,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  return makeReport(await examineExport(await openExport(folder), options), options)
}

/** The same for an opened export. Throws what verifyExport throws. */
export async function examineExport(
  opened: OpenedExport,
  options: VerifyOptions & { readonly onFinding?: FindingListener | undefined } = {},
): Promise<Examined> {
  const headers = verifyHeaders(opened, options.onFinding)
  if (options.isHeadersOnly === true) return { headers, compared: NOT_COMPARED, broken: new Set() }
  const { checked, findings, tensors, model } = headers
  const isCancelled = options.isCancelled ?? ((): boolean => false)
  const context: ScaleContext = {
    reader: new WindowedReader(opened.checkpoint),
    findings,
    broken: new Set(),
    isCancelled,
  }
  const modules = new Set(checked.quantized.map(({ matrix }) => matrix.module))
  await checkScales(checked, model.groups, context)
  await checkFinite(plainTensors(tensors, modules).values(), context)
  const compared = await compareWithSource(headers, modules, options, context)
  if (isCancelled()) {
    throw new AppError('CANCELLED', {
      subject: 'verify',
      problem: 'it was cancelled',
      remedy: 'start it again',
    })
  }
  return { headers, compared, broken: context.broken }
}

/** Every rule that needs no tensor values: milliseconds for an opened export. Throws ARCHITECTURE_UNSUPPORTED, CONFIG_INVALID, *_UNSUPPORTED. */
export function verifyHeaders(opened: OpenedExport, onFinding?: FindingListener): HeaderCheck {
  const { checkpoint, indexProblems } = opened
  const findings = new Findings(onFinding)
  const model = expectedModel(checkpoint)
  const declarations = readDeclarations(opened)
  const unresolved = new Set(
    indexProblems
      .filter(({ code }) => code === 'TENSOR_MISSING')
      .map(({ subject }) => subject.split(': ').at(-1) ?? ''),
  )
  const tensors = new StoredTensors(checkpoint.tensors, unresolved)
  checkIndex(opened, findings)
  checkDeclarations(declarations, findings)
  const declaration = fittingDeclaration(declarations, model, checkpoint.tensors)
  const declaredSizes = new Set(
    declarations.flatMap(({ groupSizes }) => (groupSizes.length > 1 ? groupSizes : [])),
  )
  const context = { model, declaration, declaredSizes, tensors, findings }
  const checked = checkTensors(context)
  checkLists(context)
  checkKvScales(context)
  checkCarried(context)
  checkUnknown(context)
  for (const { isDivisible, size, problem } of tensorParallel(checked)) {
    if (!isDivisible) findings.add('tp.divisible', `${String(size)} ranks`, problem ?? '')
  }
  return { opened, model, declaration, tensors, checked, findings }
}

function plainTensors(tensors: StoredTensors, quantized: ReadonlySet<string>): HeaderCheck['tensors']['all'] {
  const plain = [...tensors.all].filter(([name]) => {
    const module = name.slice(0, Math.max(0, name.lastIndexOf('.')))
    return !quantized.has(module) && !/_scale(_2|_inv)?$/.test(name)
  })
  return new Map(plain)
}

export interface Compared {
  /** undefined = no source was given. */
  readonly sourcePath: string | undefined
  /** undefined = none was given, or it is another model. */
  readonly source: SourceView | undefined
  readonly errors: readonly FormatError[]
  readonly matrixCount: number
}

const NOT_COMPARED: Compared = { sourcePath: undefined, source: undefined, errors: [], matrixCount: 0 }

/** True for exports whose weights were changed before they were rounded: no weight can be made again from the source as it is. */
export function changesWeights({ recipeText, smoothing }: OpenedExport): boolean {
  return smoothing !== undefined || isWrittenByOthers(recipeText)
}

function isWrittenByOthers(recipeText: string | undefined): boolean {
  return WEIGHT_CHANGING.test(recipeText ?? '')
}

/** Tools that change weights before they round them: no rounding bound holds against the source. */
const WEIGHT_CHANGING = /\b(GPTQ|AWQ|SmoothQuant|SpinQuant|QuIP|AutoRound|SparseGPT|Wanda)\w*/i

async function compareWithSource(
  { opened, model, checked, tensors, findings }: HeaderCheck,
  modules: ReadonlySet<string>,
  { source: folder, onMatrixError, makeComparer }: VerifyOptions,
  context: ScaleContext,
): Promise<Compared> {
  if (folder === undefined) return NOT_COMPARED
  const source = sourceView(await openCheckpoint(folder), opened.smoothing?.vectors)
  await checkSideFiles(opened.checkpoint, source.checkpoint, context)
  const sourcePath = folder.displayPath
  if (!checkModel(model, source, findings)) {
    findings.skip('source.unquantized')
    findings.skip('source.error')
    return { sourcePath, source: undefined, errors: [], matrixCount: 0 }
  }
  const sourceContext = { ...context, source, tensors, onMatrixError }
  await checkCopies(modules, sourceContext)
  // What our own recipes rewrite is on record; what others do is not.
  if (isWrittenByOthers(opened.recipeText)) {
    findings.skip('source.error')
    return { sourcePath, source, errors: [], matrixCount: 0 }
  }
  const ends = [opened.checkpoint, source.checkpoint] as const
  const comparer = makeComparer?.(...ends) ?? new PlainComparer(...ends)
  try {
    return { sourcePath, source, ...(await checkErrors(checked.quantized, sourceContext, comparer)) }
  } finally {
    await comparer.close()
  }
}

/** What `verify` shows of it. */
export function makeReport(
  { headers, compared }: Examined,
  { engine, isHeadersOnly }: VerifyOptions,
): VerifyReport {
  const { opened, model, declaration, checked, findings } = headers
  const broken = findings.broken()
  const engines = judgeEngines(engineFacts(headers))
  const isRefused = engines.some((verdict) => verdict.engine === engine && verdict.verdict === 'fails')
  return {
    displayPath: opened.checkpoint.folder.displayPath,
    sourcePath: compared.sourcePath,
    isSound: broken.size === 0 && !isRefused,
    dialect: declaration?.dialect ?? 'none',
    algorithm: declaration?.algorithm ?? 'none',
    kvCache: declaration?.kv ?? 'none',
    exportRulesVersion: EXPORT_RULES_VERSION,
    engineRulesVersion: ENGINE_RULES_VERSION,
    tensorCount: opened.checkpoint.tensors.size,
    tensorBytes: opened.checkpoint.totalTensorBytes,
    layerCount: model.text.layerCount,
    expertCount: model.text.expertCount,
    quantizedMatrixCount: checked.quantized.length,
    expectedQuantizedBytes: checked.expectedQuantizedBytes,
    actualQuantizedBytes: checked.actualQuantizedBytes,
    comparedMatrixCount: compared.matrixCount,
    rules: findings.results({ values: isHeadersOnly !== true, source: compared.sourcePath !== undefined }),
    findings: findings.worstFirst(),
    engines,
    tensorParallel: tensorParallel(checked),
    errors: compared.errors,
  }
}

function engineFacts({ opened, declaration, checked, findings }: HeaderCheck): EngineFacts {
  const units = checked.quantizedUnits
  const sizes = units.flatMap(({ stored: { format, packedBits } }) =>
    packedBits === undefined && weightLayout(format.format) === 'nvfp4' ? [format.blockSize] : [],
  )
  return {
    dialect: declaration?.dialect ?? 'modelopt',
    modules: units.map(({ unit, stored }) => ({ name: unit.name, kind: unit.kind, format: stored.format })),
    kvCache: declaration?.kv ?? 'none',
    isMixed: new Set(units.map(({ stored }) => formatKey(stored))).size > 1,
    hasSeveralBlockSizes: new Set(sizes).size > 1,
    lacksInputScales: checked.lacksInputScales,
    hasTopLevelGroupSize: declaration?.hasTopLevelGroupSize === true,
    listsFusedNames:
      declaration?.ignore.entries.some((entry) => /\.(qkv_proj|in_proj_ba|in_proj_qkvz)$/.test(entry)) ===
      true,
    hasLegacyFile: opened.legacy !== undefined,
    broken: findings.broken(),
  }
}

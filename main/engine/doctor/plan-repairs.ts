/**
 * Examines an export and decides what can be put right: without data, and with the source if there is one. Reads values only of what a rule
 * of `verify` has named. Nothing is written.
 */
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import type { CheckpointFolder } from '../io/ports.ts'
import { INDEX_FILE, type OpenedExport } from '../verify/open-export.ts'
import type { ExportRuleId } from '../verify/rules/export-rules.ts'
import { changesWeights, examineExport, makeReport, type Examined } from '../verify/verify-export.ts'
import { WindowedReader } from '../verify/windowed-reader.ts'
import { openForRepair, type OpenedForRepair } from './open-for-repair.ts'
import { repairCarried } from './repair-carried.ts'
import { repairConfig } from './repair-config.ts'
import { repairUnits } from './repair-units.ts'
import { RepairSet } from './repair.ts'

export interface RepairPlan {
  readonly set: RepairSet
  /** With repaired descriptions. */
  readonly opened: OpenedExport
  readonly isIndexWrong: boolean
  readonly examined: Examined
  /** Of the export as it is, apart from what reading it for repair needs. */
  readonly before: VerifyReport
}

export interface RepairOptions {
  readonly source?: CheckpointFolder | undefined
  readonly isCancelled?: (() => boolean) | undefined
}

/** Throws what verifyExport throws. */
export async function planRepairs(
  folder: CheckpointFolder,
  options: RepairOptions = {},
): Promise<RepairPlan> {
  const set = new RepairSet()
  const found = await openForRepair(folder)
  const { isIndexWrong } = found
  const opened = repairConfig(found.opened, set)
  if (isIndexWrong) noteIndex(found, set)
  const subjects = new Map<ExportRuleId, Set<string>>()
  const examined = await examineExport(opened, {
    ...options,
    onFinding: (rule, subject) => {
      subjects.set(rule, (subjects.get(rule) ?? new Set()).add(subject))
    },
  })
  const { source } = examined.compared
  if (source !== undefined) repairCarried(subjects, examined.headers, source, set)
  for (const rule of ['source.side-files', 'source.documents'] as const)
    noteSideFiles(subjects.get(rule) ?? [], rule, opened, set)
  const { broken, brokenWeights } = brokenModules(subjects, examined)
  await repairUnits({
    headers: examined.headers,
    reader: new WindowedReader(opened.checkpoint),
    broken,
    brokenWeights,
    source: changesWeights(opened) ? undefined : source,
    set,
  })
  return { set, opened, isIndexWrong, examined, before: makeReport(examined, {}) }
}

function noteIndex({ asFound, opened }: OpenedForRepair, set: RepairSet): void {
  const problems = asFound?.indexProblems ?? []
  const [first] = problems
  set.note({
    rule: problems.some(({ code }) => code !== 'INDEX_INVALID') ? 'index.resolvable' : 'index.complete',
    subject: INDEX_FILE,
    action: 'made anew from the headers of the weight files',
    before:
      asFound === undefined
        ? 'unreadable'
        : first === undefined
          ? 'missing, or with a wrong total_size'
          : `${first.subject}: ${first.problem}${problems.length > 1 ? ` and ${String(problems.length - 1)} more` : ''}`,
    after: `${String(opened.checkpoint.tensors.size)} tensors in ${String(opened.checkpoint.shards.length)} file(s)`,
    relativeError: 0,
  })
}

/** Files that the export lacks; those that differ may have been changed on purpose. */
function noteSideFiles(
  names: Iterable<string>,
  rule: ExportRuleId,
  { checkpoint }: OpenedExport,
  set: RepairSet,
): void {
  const present = new Set(checkpoint.sideFiles.map(({ name }) => name))
  for (const name of names) {
    if (present.has(name)) continue
    set.sideFiles.push(name)
    set.note({
      rule,
      subject: name,
      action: 'copied from the source',
      before: 'missing',
      after: 'as in the source',
      relativeError: undefined,
    })
  }
}

const MATRIX_RULES: readonly ExportRuleId[] = [
  'names.exact',
  'tensor.dtype',
  'tensor.shape',
  'scale.nan',
  'scale.positive',
  'scale.zero-block',
  'scale.gate-up',
  'scale.group',
  'weight.finite',
  'source.error',
]
const INPUT_SCALE = /\.input(_global)?_scale$/

interface BrokenModules {
  readonly broken: Map<string, ExportRuleId>
  readonly brokenWeights: Set<string>
}

/** Subjects of findings are matrices or tensors of matrices. */
function brokenModules(
  subjects: ReadonlyMap<ExportRuleId, ReadonlySet<string>>,
  { broken: found, headers }: Examined,
): BrokenModules {
  const modules = new Set(headers.model.units.flatMap(({ matrices }) => matrices.map(({ module }) => module)))
  const result: BrokenModules = { broken: new Map(), brokenWeights: new Set() }
  for (const rule of MATRIX_RULES)
    for (const subject of subjects.get(rule) ?? []) addBroken(rule, subject, modules, result)
  // The other members of a pair or group of which one has another scale.
  for (const module of found) {
    const rule = module.includes('.experts.') ? 'scale.gate-up' : 'scale.group'
    if (!result.broken.has(module)) result.broken.set(module, rule)
  }
  return result
}

function addBroken(
  rule: ExportRuleId,
  subject: string,
  modules: ReadonlySet<string>,
  { broken, brokenWeights }: BrokenModules,
): void {
  const module = modules.has(subject) ? subject : subject.slice(0, Math.max(0, subject.lastIndexOf('.')))
  if (!modules.has(module)) return
  if (!broken.has(module)) broken.set(module, rule)
  // Which of two scales differ is looked at where they are repaired.
  const isAboutInputs = INPUT_SCALE.test(subject) || rule === 'scale.gate-up' || rule === 'scale.group'
  if (!isAboutInputs) brokenWeights.add(module)
}

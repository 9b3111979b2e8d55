/** Collects findings by rule in bounded memory: the first of each rule are kept, all are counted. */
import {
  FINDINGS_PER_RULE,
  type RuleResult,
  type VerifyFinding,
} from '../../../shared/domain/verify-report.ts'
import { EXPORT_RULES, type ExportRule, type ExportRuleId } from './rules/export-rules.ts'

const SEVERITIES = ['error', 'warning', 'info'] as const

export type FindingListener = (rule: ExportRuleId, subject: string) => void

export class Findings {
  private readonly kept = new Map<ExportRuleId, VerifyFinding[]>()
  private readonly counts = new Map<ExportRuleId, number>()
  private readonly skipped = new Set<ExportRuleId>()
  private readonly onFinding: FindingListener | undefined

  /** `onFinding` sees every finding, also those that are only counted. */
  constructor(onFinding?: FindingListener) {
    this.onFinding = onFinding
  }

  add(rule: ExportRuleId, subject: string, message: string): void {
    this.onFinding?.(rule, subject)
    this.counts.set(rule, this.count(rule) + 1)
    const list = this.kept.get(rule) ?? []
    if (list.length === 0) this.kept.set(rule, list)
    if (list.length < FINDINGS_PER_RULE) {
      list.push({ rule, severity: EXPORT_RULES[rule].severity, subject, message })
    }
  }

  /** Says that a rule could not be checked. */
  skip(rule: ExportRuleId): void {
    this.skipped.add(rule)
  }

  count(rule: ExportRuleId): number {
    return this.counts.get(rule) ?? 0
  }

  /** All findings, for comparing before and after a step. */
  get total(): number {
    let sum = 0
    for (const count of this.counts.values()) sum += count
    return sum
  }

  /** Rules of severity `error` that have findings, with the subject of the first. */
  broken(): ReadonlyMap<ExportRuleId, string> {
    const broken = new Map<ExportRuleId, string>()
    for (const [rule, list] of this.kept) {
      if (EXPORT_RULES[rule].severity === 'error') broken.set(rule, list[0]?.subject ?? '')
    }
    return broken
  }

  /** Errors first, then warnings and notes; within a severity in the order of the rule table. */
  worstFirst(): readonly VerifyFinding[] {
    return SEVERITIES.flatMap((severity) =>
      ruleIds().flatMap((rule) =>
        EXPORT_RULES[rule].severity === severity ? (this.kept.get(rule) ?? []) : [],
      ),
    )
  }

  /** `given` = what there was to check beyond headers and configuration. */
  results(given: { readonly values: boolean; readonly source: boolean }): readonly RuleResult[] {
    return ruleIds().map((id) => {
      const { severity, title, origin, needs }: ExportRule = EXPORT_RULES[id]
      const findingCount = this.count(id)
      const isSkipped = this.skipped.has(id) || (needs !== undefined && !given[needs])
      const state = findingCount > 0 ? 'broken' : isSkipped ? 'skipped' : 'passed'
      return { id, title, severity, origin, state, findingCount }
    })
  }
}

function ruleIds(): readonly ExportRuleId[] {
  return Object.keys(EXPORT_RULES).filter((id): id is ExportRuleId => Object.hasOwn(EXPORT_RULES, id))
}

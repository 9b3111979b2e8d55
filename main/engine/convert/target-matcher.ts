/** Which modules a declaration is about: class names, exact names, `re:` patterns, or the prefixes of ModelOpt's quantized_layers. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { compileRegex } from '../verify/safe-pattern.ts'

export interface TargetMatcher {
  matchesName(module: string): boolean
  /** A target is the class of all linears. */
  readonly matchesEveryLinear: boolean
}

const PATTERN_PREFIX = 're:'

/**
 * `target`: the rules of compressed-tensors. `prefix`: a name stands for the module and everything below it (`….mlp.experts`).
 * Throws CONFIG_INVALID for a pattern outside the supported subset of regular expressions.
 */
export function targetMatcher(targets: readonly string[], rule: 'target' | 'prefix'): TargetMatcher {
  const names = new Set(targets)
  const patterns = targets.flatMap((target) => {
    if (rule === 'prefix' || !target.startsWith(PATTERN_PREFIX)) return []
    const pattern = compileRegex(target.slice(PATTERN_PREFIX.length))
    if (pattern !== undefined) return [pattern]
    throw new AppError('CONFIG_INVALID', {
      subject: 'config.json: targets',
      problem: `the pattern ${JSON.stringify(target.slice(0, 200))} cannot be read`,
      remedy: 'write it with plain groups, classes and quantifiers',
    })
  })
  return {
    matchesEveryLinear: names.has('Linear'),
    matchesName: (module) =>
      names.has(module) ||
      (rule === 'prefix' && parents(module).some((parent) => names.has(parent))) ||
      patterns.some((pattern) => pattern.matches(module)),
  }
}

function parents(module: string): readonly string[] {
  const found: string[] = []
  for (let dot = module.lastIndexOf('.'); dot > 0; dot = module.lastIndexOf('.', dot - 1))
    found.push(module.slice(0, dot))
  return found
}

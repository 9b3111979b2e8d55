/** Bounds the work that an input can cause before its schema is applied (CWE-770, CWE-674). Checklist 20. */

/** The largest legal input carries a recipe of 1 000 000 characters and about twenty other values. */
const MAX_CHARACTERS = 1_100_000
const MAX_VALUES = 200
const MAX_DEPTH = 6

const CODE_TYPES: ReadonlySet<string> = new Set(['function', 'symbol', 'bigint'])

/** True for plain data within the budget: primitives, arrays and plain objects only. */
export function isWithinInputBudget(input: unknown): boolean {
  let characters = 0
  let values = 0
  const visit = (value: unknown, depth: number): boolean => {
    values += 1
    if (values > MAX_VALUES || depth > MAX_DEPTH) return false
    if (typeof value === 'string') return (characters += value.length) <= MAX_CHARACTERS
    if (typeof value !== 'object' || value === null) return !CODE_TYPES.has(typeof value)
    if (Array.isArray(value)) return value.every((item) => visit(item, depth + 1))
    if (!isPlainObject(value)) return false
    for (const key in value) {
      if ((characters += key.length) > MAX_CHARACTERS) return false
      if (!visit(Reflect.get(value, key), depth + 1)) return false
    }
    return true
  }
  return visit(input, 0)
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

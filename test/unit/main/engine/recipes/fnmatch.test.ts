/** Pattern semantics. A matcher that treats dots as separators, ignores case, or knows no classes would select other modules than ModelOpt. */
import { expect, test } from 'vitest'
import { compilePattern } from '../../../../../main/engine/recipes/fnmatch.ts'

// Answers of Python 3.11's fnmatch.fnmatchcase.
const CASES: readonly (readonly [pattern: string, name: string, matches: boolean])[] = [
  ['*', 'a.b', true],
  ['*', '', true],
  ['', '', true],
  ['', 'a', false],
  ['*mlp*weight_quantizer', 'model.layers.0.mlp.gate_proj.weight_quantizer', true],
  ['*mlp*weight_quantizer', 'model.layers.0.mlp.gate_proj.weight_quantizers.3', false],
  ['*[kv]_bmm_quantizer', 'a.self_attn.k_bmm_quantizer', true],
  ['*[kv]_bmm_quantizer', 'a.self_attn.q_bmm_quantizer', false],
  ['*[!kv]_bmm_quantizer', 'a.self_attn.q_bmm_quantizer', true],
  ['mtp.*', 'mtp.fc', true],
  ['mtp.*', 'model.mtp.fc', false],
  ['layers.?.x', 'layers.3.x', true],
  ['layers.?.x', 'layers.13.x', false],
  ['layers.[0-2].x', 'layers.2.x', true],
  ['layers.[0-2].x', 'layers.3.x', false],
  ['*Q_proj', 'a.q_proj', false],
  ['a[b', 'a[b', true],
  ['a[b', 'ab', false],
  ['[]]x', ']x', true],
  ['[!]]x', 'ax', true],
  ['[a-]x', '-x', true],
  ['a**b', 'ab', true],
  ['*a*b*c*', 'xaybzc', true],
  ['*a*b*c*', 'xaycb', false],
  ['ab*ab', 'ab', false],
  ['a.b', 'aXb', false],
  ['a\\*', 'a\\bc', true],
  ['*.experts.*', 'm.mlp.experts.gate_up_proj_weight_quantizers.17', true],
]

test.each(CASES)('%j on %j is %j', (pattern, name, matches) => {
  expect(compilePattern(pattern).matches(name)).toBe(matches)
})

test.each([
  ['*mlp*weight_quantizer*', false],
  ['*[kv]_bmm_quantizer', false],
  ['*layers.1.*', true],
  ['*quantizers.?', true],
  ['*quantizers.[0-3]', true],
])('whether %j can tell numbered experts apart: %j', (pattern, seesDigits) => {
  expect(compilePattern(pattern).seesDigits).toBe(seesDigits)
})

test('a pattern made to backtrack ends at once', () => {
  const pattern = compilePattern(`${'*a'.repeat(400)}*b`)
  expect(pattern.matches('a'.repeat(20_000))).toBe(false)
})

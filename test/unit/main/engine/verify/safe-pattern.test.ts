/** Regular expressions of recipes: the same names as Python's re.match would find, in bounded time, and nothing beyond the subset. */
import { describe, expect, test } from 'vitest'
import { compileRegex } from '../../../../../main/engine/verify/safe-pattern.ts'
import { fc, runs } from '../../../../tools/properties.ts'

const matches = (pattern: string, name: string): boolean | undefined => compileRegex(pattern)?.matches(name)

describe('patterns of recipes', () => {
  test.each([
    ['.*mtp.*', 'mtp.fc', true],
    ['.*mlp.gate$', 'model.layers.0.mlp.gate', true],
    ['.*mlp.gate$', 'model.layers.0.mlp.gate_proj', false],
    ['lm_head', 'lm_head', true],
    // Anchored at the start only.
    ['lm_head', 'lm_head.weight', true],
    ['head', 'lm_head', false],
    ['^model\\.visual\\.', 'model.visual.blocks.0', true],
    ['.*\\.experts\\.\\d+\\.(gate|up)_proj$', 'model.layers.3.mlp.experts.17.up_proj', true],
    ['.*\\.experts\\.\\d+\\.(gate|up)_proj$', 'model.layers.3.mlp.experts.x.up_proj', false],
    ['layers\\.[0-3]\\.', 'layers.2.mlp', true],
    ['layers\\.[^0-3]\\.', 'layers.2.mlp', false],
    ['a{2,3}$', 'aaa', true],
    ['a{2,3}$', 'aaaa', false],
    ['(?:ab)+?c', 'ababc', true],
    ['', 'anything', true],
  ])('%s on %s', (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected)
  })

  test.each(['(?=a)', '(?!a)b', '(a', 'a)', '[a', '*a', 'a\\', '\\1', '\\bword', 'x{3,1}', '(?P<n>a)'])(
    '%s is refused',
    (pattern) => {
      expect(compileRegex(pattern)).toBeUndefined()
    },
  )

  test('a pattern that makes backtracking engines stall', () => {
    expect(matches('(a+)+$', `${'a'.repeat(2000)}b`)).toBe(false)
    expect(matches('(.*.*.*.*)*x', 'a'.repeat(500))).toBe(false)
  })

  test.each(['(((a{99}){99}){99}){99}', '('.repeat(100) + ')'.repeat(100)])(
    'size and depth are bounded: %s',
    (pattern) => {
      expect(compileRegex(pattern)).toBeUndefined()
    },
  )
})

/** Patterns of the subset by construction. */
const pattern = fc.letrec<{ all: string; atom: string; part: string }>((tie) => ({
  atom: fc.oneof(
    fc.constantFrom('a', 'b', '.', '\\.', '\\d', '[ab]', '[^a]', '[0-5.]'),
    fc.tuple(tie('all')).map(([inner]) => `(${inner})`),
    fc.tuple(tie('all'), tie('all')).map(([left, right]) => `(?:${left}|${right})`),
  ),
  part: fc
    .tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,2}', '{0,}'))
    .map(([a, q]) => a + q),
  all: fc.array(tie('part'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('')),
})).all

test('agrees with the regular expressions of the language', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.', '3', 'z'), maxLength: 8 })
  fc.assert(
    fc.property(pattern, fc.boolean(), fc.array(name, { maxLength: 6 }), (text, isWhole, names) => {
      const full = isWhole ? `${text}$` : text
      const regex = compileRegex(full)
      fc.pre(regex !== undefined && full.length < 60)
      const reference = new RegExp(`^(?:${full})`)
      for (const candidate of names)
        expect([candidate, regex?.matches(candidate)]).toEqual([candidate, reference.test(candidate)])
    }),
    runs(300),
  )
})

// CWE-1333 and CWE-674: what a configuration asks for is bounded before it is done.
test.each([
  ['too long', 'a'.repeat(5_000)],
  ['too many copies', '(abcde){999}'],
  ['too many copies of copies', '((a{60}){60}){60}'],
  ['nested too deeply', `${'('.repeat(40)}a${')'.repeat(40)}`],
])('a pattern that is %s is refused', (_what, pattern) => {
  expect(compileRegex(pattern)).toBeUndefined()
})

/** Catches a colour change that makes text hard to read: WCAG 2 AA, 4.5:1 for every text colour on every ground it stands on. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const css = readFileSync(new URL('../../../../renderer/src/styles/tokens.css', import.meta.url), 'utf8')

function tokensOf(selector: string): Map<string, string> {
  const block = /\{([^}]*)\}/.exec(css.slice(css.indexOf(selector)))?.[1] ?? ''
  return new Map(
    [...block.matchAll(/(--[a-z0-9-]+):\s*(#[0-9a-f]{6})/g)].map(([, name, value]) => [name, value]),
  )
}

function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const value = Number.parseInt(colour.slice(start, start + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high + 0.05) / (low + 0.05)
}

const PAIRS: readonly (readonly [text: string, grounds: readonly string[]])[] = [
  ['--text', ['--bg', '--surface', '--raised', '--accent-soft', '--good-soft', '--warn-soft']],
  ['--text-2', ['--bg', '--surface', '--raised', '--accent-soft']],
  ['--text-3', ['--bg', '--surface', '--raised']],
  ['--accent', ['--surface', '--accent-soft']],
  ['--on-accent', ['--accent']],
  ['--good', ['--surface', '--good-soft']],
  ['--warn', ['--surface', '--warn-soft']],
  ['--bad', ['--surface', '--bad-soft']],
]

describe.each([
  ['light', ':root {'],
  ['dark', ":root[data-theme='dark'] {"],
])('%s theme', (_name, selector) => {
  const tokens = tokensOf(selector)

  it.each(PAIRS.flatMap(([text, grounds]) => grounds.map((ground) => [text, ground] as const)))(
    '%s on %s is readable',
    (text, ground) => {
      expect(contrast(tokens.get(text) ?? '', tokens.get(ground) ?? '')).toBeGreaterThanOrEqual(4.5)
    },
  )

  it.each(['--bg', '--surface'])('control borders and focus rings stand out on %s', (ground) => {
    for (const line of ['--line-strong', '--focus']) {
      expect(contrast(tokens.get(line) ?? '', tokens.get(ground) ?? '')).toBeGreaterThanOrEqual(3)
    }
  })
})

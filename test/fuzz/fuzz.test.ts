/**
 * Hostile input: 2,000 mutated inputs over all parsers. `npm run fuzz -- --cases N --seed S` runs more. A parser that throws anything but a
 * typed error, hangs, or takes memory by what a file claims fails here, with the seed and the input.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describe, fuzz } from './fuzz.ts'
import type { FuzzTarget } from './target.ts'
import { fuzzTargets } from './targets.ts'

const CASES = Number(process.env['QUANTMILL_FUZZ_CASES'] ?? 2000)
const SEED = Number(process.env['QUANTMILL_FUZZ_SEED'] ?? 1)
const TARGET = process.env['QUANTMILL_FUZZ_TARGET']
const ONLY = process.env['QUANTMILL_FUZZ_ONLY']

let targets: readonly FuzzTarget[]
beforeAll(async () => {
  // The tokenizer library warns on the console about patterns that it does not know.
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  targets = await fuzzTargets()
})
afterAll(async () => {
  for (const { close } of targets) await close?.()
})

test('every seed of every target is accepted, so that mutations begin behind the first check', async () => {
  for (const { name, seeds, run } of targets) {
    const outcomes = await Promise.allSettled(seeds.map(async (seed) => run(Uint8Array.from(seed))))
    expect(
      `${name} ${String(outcomes.some(({ status }) => status === 'fulfilled') || seeds.length === 0)}`,
    ).toBe(`${name} true`)
  }
})

test(
  `${String(CASES)} inputs, seed ${String(SEED)}`,
  async () => {
    const result = await fuzz(targets, {
      cases: CASES,
      seed: SEED,
      target: TARGET,
      only: ONLY === undefined ? undefined : Number(ONLY),
      ...(CASES > 2000 ? { onTarget: (line: string) => process.stderr.write(`${line}\n`) } : {}),
    })
    const text = result.failures.map(
      ({ target, index, problem, file }) =>
        `${target}: npm run fuzz -- --target ${target} --seed ${String(SEED)} --only ${String(index)} (${file})\n${problem}`,
    )
    expect(text.join('\n\n')).toBe('')
    if (ONLY !== undefined) return
    expect(result.cases).toBeGreaterThanOrEqual(CASES)
    // A target of which nothing is refused, or nothing accepted, is not being reached.
    for (const { name, outcomes } of result.targets)
      expect(`${name}: ${String(outcomes.size > 1)}`).toBe(`${name}: true`)
    if (CASES > 2000) {
      const growth = (result.largestGrowthBytes / 1024 / 1024).toFixed(0)
      process.stderr.write(
        `${String(result.cases)} cases, seed ${String(SEED)}, memory grew by at most ${growth} MiB\n`,
      )
      process.stderr.write(`${result.targets.map(describe).join('\n')}\n`)
    }
  },
  6 * 60 * 60 * 1000,
)

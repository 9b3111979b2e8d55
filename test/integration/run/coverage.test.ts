/**
 * A minimum of tokens per expert on the sample: what the report claims is compared with the counts of the calibration itself, and with as many
 * samples drawn in order. A choice by wrong counts, or one no better than chance, would fail.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAmaxDump } from '../../../main/engine/calibration/amax-dump.ts'
import { keepChoice, readChoice } from '../../../main/host/jobs/kept-choice.ts'
import { hashExport, runForTest, silentObserver } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const MIN_TOKENS = 8
const CANDIDATES = 48
const options = { recipe: 'nvfp4_experts_only-kv_fp8', sequenceLength: 64 }

/** Tokens by `layer/expert`. */
async function tokensOf(outputPath: string): Promise<ReadonlyMap<string, number>> {
  const bytes = await readFile(join(outputPath, 'quantmill/calibration.safetensors'))
  const { expertTokens } = parseAmaxDump('dump', bytes)
  const tokens = new Map<string, number>()
  for (const [module, counts] of expertTokens) {
    const layer = /layers\.(\d+)\./.exec(module)?.[1] ?? ''
    counts.forEach((count, expert) => tokens.set(`${layer}/${String(expert)}`, count))
  }
  return tokens
}

test('every expert that can be reached is, with fewer samples than in order; the others are named', async () => {
  const coverage = { minTokensPerExpert: MIN_TOKENS, coverageBudget: CANDIDATES }
  const { report, outputPath } = await runForTest({ options: { ...options, samples: 4, ...coverage } })
  const search = report.coverageSearch
  expect(search).toMatchObject({ candidateSamples: CANDIDATES, initialSamples: 4 })
  const used = 4 + (search?.addedSamples.length ?? 0)
  expect(used).toBeLessThan(search?.inOrderSamples ?? 0)
  expect(report.calibratedTokens).toBe(used * 64)

  const outOfReach = new Set(
    search?.outOfReach.map(({ layerIndex, expertIndex }) => `${String(layerIndex)}/${String(expertIndex)}`),
  )
  const chosen = await tokensOf(outputPath)
  expect(chosen.size).toBe(4 * 32)
  const short = [...chosen].filter(([, tokens]) => tokens < MIN_TOKENS).map(([expert]) => expert)
  expect(new Set(short)).toEqual(outOfReach)

  // All candidates, drawn in order, say which experts are really out of reach; as many as were used reach fewer.
  const all = await tokensOf((await runForTest({ options: { ...options, samples: CANDIDATES } })).outputPath)
  const unreachable = [...all].filter(([, tokens]) => tokens < MIN_TOKENS)
  expect(new Set(unreachable.map(([expert]) => expert))).toEqual(outOfReach)
  for (const { layerIndex, expertIndex, tokens } of search?.outOfReach ?? [])
    expect(all.get(`${String(layerIndex)}/${String(expertIndex)}`)).toBe(tokens)
  const inOrder = await tokensOf((await runForTest({ options: { ...options, samples: used } })).outputPath)
  const missed = [...inOrder].filter(([expert, count]) => count < MIN_TOKENS && !outOfReach.has(expert))
  expect(missed.length).toBeGreaterThan(0)
})

test('a continued run uses the choice that was made, to the same bytes', async () => {
  const coverage = { minTokensPerExpert: MIN_TOKENS, coverageBudget: 12, samples: 4 }
  const outputPath = join(await temporaryFolder(), 'export')
  let isStopped = false
  const stopping = {
    ...silentObserver(() => isStopped),
    // Past the pass over all candidates, in the second layer of the calibration.
    stageProgress: (stage: string, done: number) => {
      isStopped ||= stage === 'calibrate' && done > 4 + 1
    },
  }
  const stopped = runForTest({ outputPath, options: { ...options, ...coverage } }, stopping)
  await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' })
  const logged: string[] = []
  const observer = { ...silentObserver(), log: (_level: string, message: string) => logged.push(message) }
  const continued = await runForTest(
    { outputPath, options: { ...options, ...coverage }, canResume: true },
    observer,
  )
  expect(logged).toContain('they were chosen before; the choice is used again')
  const whole = await runForTest({ options: { ...options, ...coverage } })
  expect(continued.report.coverageSearch).toEqual(whole.report.coverageSearch)
  expect(await hashExport(outputPath)).toEqual(await hashExport(whole.outputPath))
  expect(await readdir(join(outputPath, 'quantmill'))).not.toContain('coverage.json')
})

test('a kept choice that is torn, of other candidates or names what is not there counts as none', async () => {
  const folder = await temporaryFolder()
  const choice = { samples: [0, 1, 5], inOrderSamples: 7, outOfReach: [] }
  await keepChoice(folder, 'key', choice)
  expect(await readChoice(folder, 'key', 6)).toMatchObject(choice)
  expect(await readChoice(folder, 'other', 6)).toBeUndefined()
  expect(await readChoice(folder, 'key', 5)).toBeUndefined()
  const path = join(folder, 'coverage.json')
  const text = await readFile(path, 'utf8')
  for (const damaged of [
    text.slice(0, -9),
    text.replace('[0,1,5]', '[0,5,1]'),
    text.replace('7', '"7"'),
    '',
  ]) {
    await writeFile(path, damaged)
    expect(await readChoice(folder, 'key', 6)).toBeUndefined()
  }
})

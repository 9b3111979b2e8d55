/**
 * Runs mutated inputs through every parser. An input must be accepted or refused with a typed error of an allowed kind, within bounded
 * time and memory. Case `i` of a target depends on the seed, the target and `i` alone, so that one case can be run again.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../shared/errors/app-error.ts'
import { mutate, seededRandom } from './mutate.ts'
import type { FuzzTarget } from './target.ts'

const CORPUS = join(import.meta.dirname, 'corpus')
const FOUND = join(import.meta.dirname, '../output/fuzz')
/** Processor time of one input, so that a busy machine does not count; real ones take some milliseconds. */
const MAX_CPU_MS = 5_000
/** Above what the process had before: inputs have at most some hundred kilobytes. */
const MAX_GROWTH_BYTES = 768 * 1024 * 1024
const MEMORY_EVERY = 64
const MAX_FAILURES = 20

export interface FuzzOptions {
  readonly cases: number
  readonly seed: number
  /** Only this target. */
  readonly target?: string | undefined
  /** Only this case of it. */
  readonly only?: number | undefined
  readonly onTarget?: (line: string) => void
}

export interface FuzzFailure {
  readonly target: string
  readonly index: number
  readonly problem: string
  /** Where the input was kept. */
  readonly file: string
}

export interface TargetResult {
  readonly name: string
  readonly cases: number
  /** Outcomes by word or error code. */
  readonly outcomes: ReadonlyMap<string, number>
  readonly slowestMs: number
}

export interface FuzzResult {
  readonly seed: number
  readonly cases: number
  readonly targets: readonly TargetResult[]
  readonly failures: readonly FuzzFailure[]
  readonly largestGrowthBytes: number
}

export async function fuzz(targets: readonly FuzzTarget[], options: FuzzOptions): Promise<FuzzResult> {
  const chosen = targets.filter(({ name }) => options.target === undefined || name === options.target)
  const share = Math.ceil(options.cases / Math.max(1, chosen.length))
  const run = new FuzzRun(options)
  const results: TargetResult[] = []
  for (const target of chosen) {
    results.push(await run.target(target, share))
    options.onTarget?.(describe(results.at(-1)))
  }
  return {
    seed: options.seed,
    cases: results.reduce((sum, { cases }) => sum + cases, 0),
    targets: results,
    failures: run.failures,
    largestGrowthBytes: run.largestGrowthBytes,
  }
}

export function describe(result: TargetResult | undefined): string {
  if (result === undefined) return ''
  const outcomes = [...result.outcomes]
    .sort((a, b) => b[1] - a[1])
    .map(([word, count]) => `${word} ${String(count)}`)
  return `${result.name.padEnd(14)}${String(result.cases).padStart(7)} cases, slowest ${result.slowestMs.toFixed(0)} ms CPU: ${outcomes.join(', ')}`
}

class FuzzRun {
  readonly failures: FuzzFailure[] = []
  largestGrowthBytes = 0
  private readonly options: FuzzOptions
  private readonly startBytes = process.memoryUsage().rss

  constructor(options: FuzzOptions) {
    this.options = options
  }

  async target(target: FuzzTarget, cases: number): Promise<TargetResult> {
    const corpus = await corpusOf(target.name)
    const outcomes = new Map<string, number>()
    let slowestMs = 0
    const { only } = this.options
    const first = only ?? 0
    const end = only === undefined ? cases : only + 1
    for (let index = first; index < end; index += 1) {
      const bytes = inputOf(target, corpus, this.options.seed, index)
      const { word, problem, cpuMs } = await attempt(target, bytes)
      outcomes.set(word, (outcomes.get(word) ?? 0) + 1)
      slowestMs = Math.max(slowestMs, cpuMs)
      const trouble = problem ?? this.trouble(cpuMs, index)
      if (trouble !== undefined) await this.keep(target.name, index, trouble, bytes)
      if (this.failures.length >= MAX_FAILURES) break
    }
    return { name: target.name, cases: end - first, outcomes, slowestMs }
  }

  private trouble(cpuMs: number, index: number): string | undefined {
    if (cpuMs > MAX_CPU_MS) return `it took ${cpuMs.toFixed(0)} ms of processor time`
    if (index % MEMORY_EVERY !== 0) return undefined
    const growth = process.memoryUsage().rss - this.startBytes
    this.largestGrowthBytes = Math.max(this.largestGrowthBytes, growth)
    return growth > MAX_GROWTH_BYTES ? `memory grew by ${String(growth)} bytes` : undefined
  }

  private async keep(target: string, index: number, problem: string, bytes: Uint8Array): Promise<void> {
    await mkdir(FOUND, { recursive: true })
    const file = join(FOUND, `${target}-${String(this.options.seed)}-${String(index)}`)
    await writeFile(file, bytes)
    this.failures.push({ target, index, problem, file })
  }
}

/** Every file of the corpus as it is, then mutations. */
function inputOf(
  { name, seeds: own, repair }: FuzzTarget,
  corpus: readonly Uint8Array[],
  seed: number,
  index: number,
): Uint8Array<ArrayBuffer> {
  const plain = corpus[index]
  if (plain !== undefined) return Uint8Array.from(plain)
  const seeds = [...own, ...corpus]
  const random = seededRandom(hash(`${String(seed)} ${name} ${String(index)}`))
  const base = seeds[Math.floor(random() * seeds.length)] ?? new Uint8Array(0)
  const bytes = mutate(base, seeds, random)
  return repair !== undefined && random() < 0.5 ? repair(bytes, random) : bytes
}

interface Attempt {
  readonly word: string
  readonly problem: string | undefined
  readonly cpuMs: number
}

async function attempt({ run, kinds }: FuzzTarget, bytes: Uint8Array<ArrayBuffer>): Promise<Attempt> {
  const before = process.cpuUsage()
  let word: string
  let problem: string | undefined
  try {
    word = await run(bytes)
  } catch (error: unknown) {
    const isAllowed = error instanceof AppError && kinds.includes(error.kind)
    word = error instanceof AppError ? error.code : 'uncaught'
    if (!isAllowed) problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const { user, system } = process.cpuUsage(before)
  return { word, problem, cpuMs: (user + system) / 1000 }
}

async function corpusOf(target: string): Promise<readonly Uint8Array[]> {
  const folder = join(CORPUS, target)
  const names = await readdir(folder).catch(() => [])
  return Promise.all(names.sort().map((name) => readFile(join(folder, name))))
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193)
  return value >>> 0
}

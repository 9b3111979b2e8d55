/** The recorded reference forward pass (test/fixtures/calibration) and the comparison with it. */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MicroBatch, TokenBatch } from '../../../main/engine/calibration/hidden-states.ts'
import { DescriptorReader } from '../../../main/engine/io/node/descriptor-reader.ts'
import type { MoeModel } from '../../../main/engine/models/moe-model.ts'
import { openSample } from '../../tools/open-sample.ts'
import { SAMPLE } from '../../tools/sample-path.ts'

const FIXTURES = join(import.meta.dirname, '../../fixtures/calibration')

export interface LayerReference {
  readonly expertTokens: readonly number[]
  readonly gateUpInputAmax: readonly number[]
  readonly downInputAmax: readonly number[]
  /** Tokens whose last chosen expert is ahead of the first not chosen by less than 1e-4. */
  readonly closeDecisions: number
}

export interface Reference {
  readonly inputShape: readonly [number, number]
  readonly hiddenStep: number
  readonly layers: readonly LayerReference[]
  readonly linears: Readonly<Record<string, number>>
  readonly cache: Readonly<Record<string, number>>
}

export const REFERENCE = JSON.parse(readFileSync(join(FIXTURES, 'reference.json'), 'utf8')) as Reference

/** The first `sequences` recorded inputs. */
export function referenceInput(sequences: number): TokenBatch {
  const [, time] = REFERENCE.inputShape
  return { batch: sequences, time, ids: Int32Array.from(u16('input-ids.u16').subarray(0, sequences * time)) }
}

export interface Domain {
  readonly name: string
  readonly perplexity: number
  readonly tokens: number
  readonly batch: TokenBatch
}

export function domains(): readonly Domain[] {
  const recorded = JSON.parse(readFileSync(join(FIXTURES, 'perplexity.json'), 'utf8')) as {
    name: string
    windows: number
    time: number
    perplexity: number
    tokens: number
  }[]
  return recorded.map(({ name, windows, time, perplexity, tokens }) => ({
    name,
    perplexity,
    tokens,
    batch: { batch: windows, time, ids: Int32Array.from(u16(`windows-${name}.u16`)) },
  }))
}

/**
 * Largest |Δ| / (tolerance + tolerance · |expected|) over the recorded rows, which are every 16th of the first two sequences; 1 is the limit.
 */
export function worstDeviation(
  name: string,
  batches: readonly MicroBatch[],
  tolerance: number,
  pick: (batch: MicroBatch) => Float32Array = ({ hidden }) => hidden,
): number {
  const expected = new Float32Array(bytesOf(`hidden-${name}.f32`))
  const width = 256
  let worst = 0
  for (let index = 0; index < expected.length; index += 1) {
    const row = Math.floor(index / width) * REFERENCE.hiddenStep
    const batch = batches.findLast(({ firstRow }) => firstRow <= row)
    if (batch === undefined) throw new Error(`no token ${String(row)}`)
    const actual = pick(batch)[(row - batch.firstRow) * width + (index % width)] ?? Number.NaN
    const allowed = tolerance + tolerance * Math.abs(expected[index])
    const deviation = Math.abs(actual - expected[index]) / allowed
    if (!(deviation <= worst)) worst = deviation
  }
  return worst
}

/** Largest relative difference; both zero counts as equal. */
export function worstRelative(actual: ArrayLike<number>, expected: readonly number[]): number {
  return Math.max(
    ...expected.map((value, index) =>
      actual[index] === value ? 0 : Math.abs((actual[index] ?? NaN) / value - 1),
    ),
  )
}

export interface OpenSample {
  readonly model: MoeModel
  readonly reader: DescriptorReader
  readonly close: () => void
}

/** The sample checkpoint with a reader over its files. */
export async function openSampleReader(): Promise<OpenSample> {
  const { checkpoint, model } = await openSample()
  const descriptors = checkpoint.shards.map(({ fileName }) => openSync(join(SAMPLE, fileName), 'r'))
  return {
    model,
    reader: new DescriptorReader(descriptors),
    close: () => {
      descriptors.forEach((descriptor) => {
        closeSync(descriptor)
      })
    },
  }
}

function u16(name: string): Uint16Array {
  return new Uint16Array(bytesOf(name))
}

function bytesOf(name: string): ArrayBuffer {
  return new Uint8Array(readFileSync(join(FIXTURES, name))).buffer
}

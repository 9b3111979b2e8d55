/**
 * The choice of samples of an unfinished run, beside its journal: looking where the tokens of all candidates go costs a pass over the model, and
 * a continued run would come to the same. Removed when the run is finished. A file that is torn, or of other candidates, counts as none.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod/mini'
import type { SampleChoice } from '../../engine/calibration/coverage/choose-samples.ts'
import { writeSmallFile } from './output-folder.ts'

export const CHOICE_NAME = 'coverage.json'
/** CWE-770: a million samples, and every expert of the largest model out of reach. */
const MAX_BYTES = 16 * 1024 * 1024

const count = z.int().check(z.gte(0))
const choiceSchema = z.strictObject({
  schema: z.literal(1),
  key: z.string(),
  samples: z.array(count),
  inOrderSamples: count,
  outOfReach: z.array(z.strictObject({ layerIndex: count, expertIndex: count, tokens: count })),
})

/** `key` names candidates, device and what was asked for. Throws what the file system says. */
export async function keepChoice(ownPath: string, key: string, choice: SampleChoice): Promise<void> {
  const { samples, inOrderSamples, outOfReach } = choice
  const kept = { schema: 1, key, samples, inOrderSamples, outOfReach }
  await writeSmallFile(join(ownPath, CHOICE_NAME), `${JSON.stringify(kept)}\n`)
}

/** undefined when there is none for this key. `candidateCount` bounds what a choice may name. */
export async function readChoice(
  ownPath: string,
  key: string,
  candidateCount: number,
): Promise<SampleChoice | undefined> {
  try {
    const path = join(ownPath, CHOICE_NAME)
    if ((await stat(path)).size > MAX_BYTES) return undefined
    const { success, data } = choiceSchema.safeParse(JSON.parse(await readFile(path, 'utf8')))
    if (!success || data.key !== key) return undefined
    const isAscending = data.samples.every((sample, at) => sample > (data.samples[at - 1] ?? -1))
    return isAscending && (data.samples.at(-1) ?? candidateCount) < candidateCount ? data : undefined
  } catch {
    return undefined
  }
}

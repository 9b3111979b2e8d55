/** Exports of the sample with recorded input maxima, and what a recorded fake-quantized run of the model itself made of them. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import type { OrtRuntime } from '../../../main/engine/device/ort-runtime.ts'
import { plainModel } from '../../../main/engine/quality/evaluated-model.ts'
import { compareModels, type Comparison } from '../../../main/engine/quality/measure-models.ts'
import { openEvaluated } from '../../../main/engine/quality/open-evaluated.ts'
import type { RunOptions } from '../../../shared/domain/run-options.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'
import { domains, openSampleReader, REFERENCE, type Domain } from '../calibration/reference-data.ts'

export interface RecordedQuality {
  readonly perplexity: number
  readonly klMean: number
  readonly top1Agreement: number
}

/** By variant and domain. */
export const RECORDED = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../fixtures/calibration/quality.json'), 'utf8'),
) as Readonly<Record<string, Readonly<Record<string, RecordedQuality>>>>

/** The recorded maxima as a file for --amax: one for each linear, one for all experts of a layer. */
async function recordedAmax(prefix: string): Promise<string> {
  const amax: Record<string, number> = {}
  for (const [name, value] of Object.entries(REFERENCE.linears)) {
    amax[`${name.replace(/^model\.language_model/, prefix)}.input_quantizer`] = value
  }
  for (const [index, { gateUpInputAmax, downInputAmax }] of REFERENCE.layers.entries()) {
    const experts = `${prefix}.layers.${String(index)}.mlp.experts`
    amax[`${experts}.gate_up_proj_input_quantizer`] = Math.max(...gateUpInputAmax)
    amax[`${experts}.down_proj_input_quantizer`] = Math.max(...downInputAmax)
  }
  const path = join(await temporaryFolder(), 'amax.json')
  await writeFile(path, JSON.stringify(amax))
  return path
}

/** Path of an export without a quantized cache, as the recorded runs had none. */
export async function exportWithRecordedAmax(
  options: Partial<RunOptions> & { readonly recipe: string },
  checkpoint: { readonly path: string; readonly prefix: string } = {
    path: SAMPLE,
    prefix: 'model.language_model',
  },
): Promise<string> {
  const amaxPath = await recordedAmax(checkpoint.prefix)
  const request = { options: { kv: 'none', ...options } as const, amaxPath, checkpointPath: checkpoint.path }
  return (await runForTest(request)).outputPath
}

/** The export against the sample on the recorded windows of some domains, one result for each. */
export async function compareWithSample(
  exportPath: string,
  runtime: OrtRuntime,
  names: readonly string[],
): Promise<{ readonly chosen: readonly Domain[]; readonly comparison: Comparison }> {
  const sample = await openSampleReader()
  try {
    const chosen = domains().filter(({ name }) => names.includes(name))
    const unused = (): never => {
      throw new Error('this is no export')
    }
    const folder = new NodeCheckpointFolder(exportPath)
    const { evaluated } = await openEvaluated(folder, 'layer_max', unused)
    const options = { runtime, windows: chosen.map(({ batch }) => batch) }
    const original = plainModel(sample.model, sample.reader)
    return { chosen, comparison: await compareModels(original, evaluated, options) }
  } finally {
    sample.close()
  }
}

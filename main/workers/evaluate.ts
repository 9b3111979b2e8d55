/** Measures a checkpoint or an export, alone or against another one. */
import { AppError } from '../../shared/errors/app-error.ts'
import type { StateMemory } from '../engine/calibration/stored-states.ts'
import { NodeCheckpointFolder } from '../engine/io/node/checkpoint-folder.ts'
import { DescriptorReader } from '../engine/io/node/descriptor-reader.ts'
import type { GraphRuntime } from '../engine/onnx/graph-runtime.ts'
import { compareModels, measurePerplexity, type MeasureControl } from '../engine/quality/measure-models.ts'
import { openEvaluated, type OpenedModel } from '../engine/quality/open-evaluated.ts'
import type { EvaluateWindows, Evaluation, StatePlaces } from './device-protocol.ts'
import { OpenFiles } from './open-files.ts'

export interface EvaluationMemories {
  readonly first: StateMemory | undefined
  /** For the states of a second model. */
  readonly second: StateMemory | undefined
}

/** Where inputs are rounded that cannot be on a device. */
export type RoundingFor = (runtime: GraphRuntime) => GraphRuntime

/** Throws what opening and measuring throw; USAGE for models of different shapes. */
export async function evaluate(
  { path, againstPath, expertInputs, windows }: EvaluateWindows,
  runtime: GraphRuntime,
  { first, second }: EvaluationMemories,
  control: MeasureControl,
  roundingFor: RoundingFor = (device) => device,
): Promise<Evaluation> {
  const files = new OpenFiles()
  const readers: DescriptorReader[] = []
  const openModel = (folderPath: string): Promise<OpenedModel> => {
    const folder = new NodeCheckpointFolder(folderPath)
    return openEvaluated(folder, expertInputs, (names) => {
      const reader = new DescriptorReader(files.open(names.map((name) => folder.pathOf(name))))
      readers.push(reader)
      return reader
    })
  }
  const countBytes = (): number => readers.reduce((sum, reader) => sum + reader.bytesRead, 0)
  try {
    const { evaluated, isExport } = await openModel(path)
    const options = {
      runtime,
      roundingRuntime: isExport ? roundingFor(runtime) : undefined,
      windows,
      stateMemory: first,
    }
    if (againstPath === undefined) {
      const results = await measurePerplexity(evaluated, options, control)
      return { results, bytesRead: countBytes() }
    }
    const { evaluated: original } = await openModel(againstPath)
    assertSameShape(path, evaluated.model.text, original.model.text)
    const comparison = await compareModels(original, evaluated, { ...options, secondMemory: second }, control)
    const results = comparison.groups.map(({ tokens, quantized }) => ({ tokens, ...quantized }))
    return { results, comparison, bytesRead: countBytes() }
  } finally {
    files.close()
  }
}

/** A second model gets half of the memory, and a file of its own. */
export function secondPlaces({ states, againstPath }: EvaluateWindows): StatePlaces | undefined {
  if (states === undefined || againstPath === undefined) return undefined
  return { limitBytes: states.limitBytes, scratchPath: `${states.scratchPath}-2` }
}

function assertSameShape(path: string, quantized: object, original: object): void {
  if (JSON.stringify(quantized) === JSON.stringify(original)) return
  throw new AppError('USAGE', {
    subject: path,
    problem: 'it is not made from the checkpoint given with --against: their configurations differ',
    remedy: 'give the checkpoint that was quantized',
  })
}

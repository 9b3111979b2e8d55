import {
  SAMPLE_SHAPES,
  writeSampleCheckpoint,
  type SampleShape,
} from '../../engine/io/node/write-sample-checkpoint.ts'
import { parseArguments, required, usage, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'

export const sampleCommand: Command = {
  name: 'sample',
  summary: 'write a synthetic checkpoint of a released shape',
  help: `quantmill sample --like SHAPE --out DIR [--layers N] [--seed S]

  --like SHAPE   ${SAMPLE_SHAPES.join(' | ')}
  --layers N     number of decoder layers (default: as released)
  --seed S       seed of the weights (default 1)`,
  async run(argv, context) {
    const table = {
      like: { type: 'string' },
      out: { type: 'string' },
      layers: { type: 'string' },
      seed: { type: 'string' },
    } as const
    const parsed = parseArguments('sample', argv, table, [])
    const shape: SampleShape | undefined = parsed.choice('like', SAMPLE_SHAPES)
    if (shape === undefined) throw usage('sample', '--like is missing')
    const folder = userPath(required('sample', 'out', parsed.text('out')))
    await writeSampleCheckpoint({
      shape,
      folder,
      layerCount: parsed.wholeNumber('layers', 1),
      seed: parsed.wholeNumber('seed', 0) ?? 1,
      tokenizerFolder: context.files.sampleFolder,
    })
    context.print(folder)
    return 0
  },
}

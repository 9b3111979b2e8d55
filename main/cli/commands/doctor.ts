import { EXIT_CODES } from '../../../shared/errors/codes.ts'
import { doctorText } from '../../engine/doctor/doctor-text.ts'
import { doctorExport } from '../../host/doctor/doctor-export.ts'
import { parseArguments, required, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'
import { endRewrite, rewriteObserver } from '../rewrite-observer.ts'

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'a repaired copy of an export that does not verify',
  help: `quantmill doctor <export> --out DIR [--source CHECKPOINT] [options] [--json]

  --out DIR              folder of the repaired export; must not exist or be empty. <export> is only read
  --source CHECKPOINT    the checkpoint it was made from
  --overwrite            replace an existing output when the new one is complete
  --workers N            writing threads (default: one per core)

Without the source: unequal NVFP4 tensor scales of gate and up or of fused projections (block scales are rescaled, the
error is stated), input scales that are missing, zero or not finite (the widest of the layer's other experts), scales of
all-zero weights, NaN bytes in E4M3 scales and codes (the largest value of their sign), exclude lists, two descriptions
that disagree or one that is missing, the index.
With the source also: missing files, lost or changed MTP and vision tensors, lost unquantized tensors, and weights whose
scales or codes are damaged, lost or not those of the source (quantized anew).
The result is verified before it gets its name. What cannot be repaired is listed and left as it is.

Exit codes: 0 the result is sound, or was before (nothing is written then); 1 something is still wrong; 2 bad usage or not
an export; 3 environment; 130 cancelled.`,
  async run(argv, context) {
    const table = {
      out: { type: 'string' },
      source: { type: 'string' },
      overwrite: { type: 'boolean' },
      workers: { type: 'string' },
      json: { type: 'boolean' },
    } as const
    const parsed = parseArguments('doctor', argv, table, ['export'])
    const request = {
      exportPath: userPath(parsed.positionals[0] ?? ''),
      sourcePath: parsed.path('source'),
      outputPath: userPath(required('doctor', 'out', parsed.text('out'))),
      workers: parsed.wholeNumber('workers', 1) ?? 0,
      canOverwrite: parsed.flag('overwrite'),
    }
    const report = await doctorExport(request, context.files, rewriteObserver(context))
    endRewrite(context)
    context.print(
      parsed.flag('json')
        ? JSON.stringify(report)
        : doctorText(report.displayPath, report.repairs, report.verification),
    )
    return report.verification.isSound ? 0 : EXIT_CODES.quality
  },
}

import type { ReceiptCheck } from '../../../shared/domain/receipt-check.ts'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { EXIT_CODES } from '../../../shared/errors/codes.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../engine/verify/verify-export.ts'
import { verifyText } from '../../engine/verify/verify-text.ts'
import { requireFolder } from '../../host/jobs/prepare-run.ts'
import { comparerMaker } from '../../host/checks/matrix-pool.ts'
import { checkReceipt } from '../../host/receipt/check-receipt.ts'
import { receiptCheckText } from '../../host/receipt/receipt-text.ts'
import { recordErrors } from '../../host/receipt/record-errors.ts'
import { parseArguments, usage, userPath, type ParsedArguments } from '../arguments.ts'
import type { Command, CommandContext } from '../command.ts'

const ENGINES = ['all', 'vllm', 'sglang', 'trtllm'] as const

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'check an export: names, scales, configuration, engines; with --source also copies and errors',
  help: `quantmill verify <export> [--source CHECKPOINT] [--receipt] [--engine E] [--workers N] [--json]

  <export>             an export of Quantmill, ModelOpt or LLM Compressor (modelopt or compressed-tensors)
  --source CHECKPOINT  the checkpoint it was made from: carried tensors and files must be identical to it and
                       every dequantized weight within the error bound of its format
  --receipt            hash everything again and compare with quantmill/receipt.json: tensors, recipe, files and,
                       with --source, what the run has read of the source
  --record             with --source: write the error of every matrix to quantmill/errors.json of the export
  --engine E           vllm | sglang | trtllm: fail when this engine is known to refuse or misread the export;
                       all (default): show what is known of each
  --workers N          with --source: threads that compare weights (default: one per core, at most 8)
  --json               one JSON object on standard output; with --receipt its key "receipt" is that check

Exit codes: 0 sound; 1 a rule is broken or a hash differs; 2 bad usage or not an export; 3 environment; 130 cancelled.`,
  async run(argv, context) {
    const table = {
      source: { type: 'string' },
      receipt: { type: 'boolean' },
      record: { type: 'boolean' },
      engine: { type: 'string' },
      workers: { type: 'string' },
      json: { type: 'boolean' },
    } as const
    return verify(parseArguments('verify', argv, table, ['export']), context)
  },
}

async function verify(
  parsed: ParsedArguments,
  { print, isCancelled, files }: CommandContext,
): Promise<number> {
  const engine = parsed.choice('engine', ENGINES) ?? 'all'
  const exportPath = userPath(parsed.positionals[0] ?? '')
  const sourcePath = parsed.path('source')
  const errors = errorMap(parsed, sourcePath)
  for (const path of [exportPath, sourcePath]) if (path !== undefined) await requireFolder(path)
  const report = await verifyExport(new NodeCheckpointFolder(exportPath), {
    source: sourcePath === undefined ? undefined : new NodeCheckpointFolder(sourcePath),
    engine: engine === 'all' ? undefined : engine,
    isCancelled,
    makeComparer: comparerMaker(files, parsed.wholeNumber('workers', 1)),
    onMatrixError: errors && ((module, error) => errors.set(module, error)),
  })
  if (errors !== undefined) await recordErrors(exportPath, errors)
  const isChecked = parsed.flag('receipt')
  const receipt = isChecked ? await checkReceipt({ exportPath, sourcePath, isCancelled }) : undefined
  print(parsed.flag('json') ? JSON.stringify({ ...report, receipt }) : text(report, receipt))
  return exitCode(report, receipt)
}

/** Where errors of matrices are collected; undefined without --record. */
function errorMap(parsed: ParsedArguments, sourcePath: string | undefined): Map<string, number> | undefined {
  if (!parsed.flag('record')) return undefined
  if (sourcePath !== undefined) return new Map()
  throw usage('verify', '--record needs --source, against which errors are measured')
}

function exitCode({ isSound }: VerifyReport, receipt: ReceiptCheck | undefined): number {
  return isSound && receipt?.isIntact !== false ? 0 : EXIT_CODES.quality
}

function text(report: VerifyReport, receipt: ReceiptCheck | undefined): string {
  return [verifyText(report), ...(receipt === undefined ? [] : receiptCheckText(receipt))].join('\n')
}

/**
 * Wrong calibration data through the command line: one line that names file, line or token and what to do, exit code 2, nothing left on disk.
 * Data that is only too little is used, and the report says so.
 */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { RunReport } from '../../../shared/domain/job.ts'
import { runCli, type CliResult } from '../../tools/cli.ts'
import { rawShard } from '../../tools/safetensors-bytes.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

interface BadData {
  readonly name: string
  readonly file: string
  readonly content: string | Uint8Array
  readonly options?: readonly string[]
  /** Code and subject at the beginning of the error line. */
  readonly error: string
  /** What the line must also say. */
  readonly says: string
}

/** Matrix `input_ids`, I32. */
function tokenMatrix(rows: number, time: number, ids: readonly number[]): Uint8Array {
  const sizeBytes = rows * time * 4
  const header = { input_ids: { dtype: 'I32', shape: [rows, time], data_offsets: [0, sizeBytes] } }
  const bytes = rawShard(JSON.stringify(header), sizeBytes)
  const view = new DataView(bytes.buffer, bytes.length - sizeBytes)
  for (let index = 0; index < rows * time; index += 1)
    view.setInt32(index * 4, ids[index % ids.length] ?? 0, true)
  return bytes
}

const CASES: readonly BadData[] = [
  {
    name: 'an empty file',
    file: 'empty.jsonl',
    content: '',
    error: 'CALIBRATION_DATA_EMPTY: empty.jsonl',
    says: 'the file is empty',
  },
  {
    name: 'documents without text',
    file: 'blank.jsonl',
    content: '\n{"text": ""}\n',
    error: 'CALIBRATION_DATA_EMPTY: blank.jsonl',
    says: 'no text',
  },
  {
    name: 'not UTF-8',
    file: 'latin1.jsonl',
    content: Buffer.from('{"text": "na\u00efve"}\n{"text": "caf\u00e9"}\n', 'latin1'),
    error: 'CALIBRATION_DATA_INVALID: latin1.jsonl:1',
    says: 'UTF-8',
  },
  {
    name: 'a line that is not JSON',
    file: 'broken.jsonl',
    content: `${'{"text": "one two three"}\n'.repeat(40)}{"text": "open\n`,
    error: 'CALIBRATION_DATA_INVALID: broken.jsonl:41',
    says: 'not valid JSON',
  },
  {
    name: 'a sample longer than the context',
    file: 'long.safetensors',
    content: tokenMatrix(1, 4097, [1]),
    error: 'CALIBRATION_DATA_INVALID: long.safetensors',
    says: '4096',
  },
  {
    name: 'sequences longer than the context',
    file: 'text.txt',
    content: 'one two three '.repeat(3000),
    options: ['--seq-len', '4097'],
    error: 'CALIBRATION_DATA_INVALID: text.txt',
    says: '--seq-len 4096',
  },
  {
    name: 'a token id outside the vocabulary',
    file: 'foreign.safetensors',
    content: tokenMatrix(2, 4, [5, 6, 7, 8, 9, 10, 4096, 11]),
    error: 'CALIBRATION_DATA_INVALID: foreign.safetensors',
    says: 'token 4096 at row 1, position 2',
  },
]

async function calibrate(file: string, content: string | Uint8Array, options: readonly string[]) {
  const folder = await temporaryFolder()
  const data = join(folder, file)
  await writeFile(data, content)
  const out = join(folder, 'export')
  const recipe = ['--recipe', 'nvfp4_experts_only-kv_fp8', '--device', 'cpu', '--workers', '1']
  const result: CliResult = await runCli([
    'run',
    SAMPLE,
    ...recipe,
    '--out',
    out,
    '--calib',
    data,
    ...options,
  ])
  return { out, ...result }
}

describe('calibration data that cannot be used', () => {
  test.each(CASES)('$name', async ({ file, content, options = ['--samples', '2'], error, says }) => {
    const { out, stderr, stdout, exitCode } = await calibrate(file, content, options)
    const lines = stderr.split('\n').filter((line) => line.startsWith('error '))
    expect(lines).toEqual([expect.stringContaining(`error ${error}: `)])
    expect(lines[0]).toContain(says)
    expect([exitCode, stdout]).toEqual([2, ''])
    expect([existsSync(out), existsSync(`${out}.partial`)]).toEqual([false, false])
  })
})

test('fewer samples than asked are used; log, report and receipt say so', async () => {
  const notice = 'the data gives 3 of 7 sequences of 4 tokens; experts may stay uncovered'
  const content = tokenMatrix(3, 4, [1, 2, 3, 4, 5])
  const { out, stdout, stderr, exitCode } = await calibrate('few.safetensors', content, [
    '--samples',
    '7',
    '--json',
  ])
  expect(exitCode).toBe(0)
  expect(stderr).toContain(notice)
  const report = JSON.parse(stdout) as RunReport
  expect([report.calibratedTokens, report.calibrationNotices]).toEqual([12, [notice]])
  const receipt = JSON.parse(await readFile(join(out, 'quantmill/receipt.json'), 'utf8')) as {
    coverage: { notices: string[] }
  }
  expect(receipt.coverage.notices).toEqual([notice])
})

/** A report on disk may be damaged or edited: it is read whole or refused by name, and a verification changes nothing else in it. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readReport, recordVerification, writeReports } from '../../../../../main/host/report/report-files.ts'
import type { ExportReport, VerifyOutcome } from '../../../../../shared/domain/export-report.ts'
import { errorOf } from '../../../../tools/expect-error.ts'
import { temporaryFolder } from '../../../../tools/temporary-folder.ts'

const REPORT: ExportReport = {
  schema: 1,
  producer: { name: 'quantmill', version: '1.2.3' },
  source: { name: 'm', architecture: 'A', layerCount: 2, expertCount: 2, topK: 1, sizeBytes: 100 },
  export: {
    name: 'm-nvfp4',
    recipe: 'r',
    profile: 'hardened',
    dialect: 'modelopt',
    kvCache: 'fp8',
    sizeBytes: 30,
    bitsPerWeight: 4.5,
    tensorCount: 4,
    quantizedTensorCount: 2,
    byFormat: [{ format: 'nvfp4', tensorCount: 2, sourceBytes: 90, outputBytes: 20 }],
  },
  calibration: {
    tokenCount: 10,
    device: 'cpu',
    notices: [],
    expertTokens: [[1, 2], null],
    expertAmax: [[0.5, null], null],
    uncoveredExperts: [],
  },
  findings: [],
  repairs: [],
  serveCommands: [{ engine: 'vllm', command: 'vllm serve ./m-nvfp4' }],
}

const OUTCOME: VerifyOutcome = {
  scope: 'values',
  isSound: true,
  dialect: 'modelopt',
  algorithm: 'NVFP4',
  kvCache: 'fp8',
  exportRulesVersion: 1,
  engineRulesVersion: 1,
  tensorCount: 4,
  tensorBytes: 30,
  layerCount: 2,
  expertCount: 2,
  quantizedMatrixCount: 2,
  expectedQuantizedBytes: 20,
  actualQuantizedBytes: 20,
  comparedMatrixCount: 0,
  rules: [],
  findings: [],
  engines: [{ engine: 'vllm', verdict: 'loads', reason: 'accepted' }],
  tensorParallel: [{ size: 1, isDivisible: true, problemCount: 0 }],
  errors: [],
}

async function exportFolder(): Promise<string> {
  const folder = await temporaryFolder()
  await mkdir(join(folder, 'quantmill'))
  return folder
}

test('what was written is read, and a verification is added to both files', async () => {
  const folder = await exportFolder()
  await writeReports(folder, REPORT)
  expect(await readReport(folder)).toEqual(REPORT)
  await recordVerification(folder, OUTCOME)
  expect(await readReport(folder)).toEqual({ ...REPORT, verification: OUTCOME })
  expect(await readFile(join(folder, 'quantmill/report.html'), 'utf8')).toContain('Sound: no rule is broken')
})

test.each([
  ['no report at all', undefined],
  ['not JSON', '{"schema":'],
  ['a later schema', JSON.stringify({ ...REPORT, schema: 2 })],
  [
    'a map that no window could draw',
    JSON.stringify({ ...REPORT, source: { ...REPORT.source, layerCount: 1e9 } }),
  ],
  [
    'text where a number belongs',
    JSON.stringify({ ...REPORT, calibration: { ...REPORT.calibration, expertTokens: [['x']] } }),
  ],
])('%s is refused by name', async (_case, content) => {
  const folder = await exportFolder()
  if (content !== undefined) await writeFile(join(folder, 'quantmill/report.json'), content)
  const error = await errorOf(() => readReport(folder))
  expect(error.code).toBe('REPORT_INVALID')
  expect(error.subject).toContain('report.json')
})

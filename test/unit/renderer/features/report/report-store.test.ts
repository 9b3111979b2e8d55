/** Reports of runs and of exports from the library share one view: an answer of one must never appear under the name of the other. */
import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'
import { setApi } from '../../../../../renderer/src/bridge/api.ts'
import { createFakeApi } from '../../../../../renderer/src/bridge/fake.ts'
import {
  keyOf,
  shownOfExport,
  subjectOf,
  type ReportSubject,
} from '../../../../../renderer/src/features/report/shown-report.ts'
import { useReportStore } from '../../../../../renderer/src/features/report/useReportStore.ts'
import type { ExportReport } from '../../../../../shared/domain/export-report.ts'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { makeDeferred, makeGrant, makeReport, makeSnapshot } from '../../snapshots.ts'

function exportReport(name: string): ExportReport {
  return {
    schema: 1,
    producer: { name: 'quantmill', version: '1.2.3' },
    source: { name: 'big', architecture: 'A', layerCount: 3, expertCount: 8, topK: 1, sizeBytes: 900 },
    export: {
      name,
      recipe: 'nvfp4',
      profile: 'identical',
      dialect: 'modelopt',
      kvCache: 'fp8',
      sizeBytes: 300,
      bitsPerWeight: 4.5,
      tensorCount: 4,
      quantizedTensorCount: 2,
      byFormat: [],
    },
    calibration: {
      tokenCount: 10,
      device: 'cpu',
      notices: ['n'],
      expertTokens: [],
      expertAmax: [],
      uncoveredExperts: [],
    },
    findings: [],
    repairs: [],
    serveCommands: [],
  }
}

const asSubject = (name: string): ReportSubject => ({ kind: 'export', grant: makeGrant(name) })

beforeEach(() => {
  setActivePinia(createPinia())
})

describe('subjectOf', () => {
  const done = makeSnapshot({ state: { kind: 'succeeded', report: makeReport() } })

  it('is the export that was asked for, else the run that has succeeded, else nothing', () => {
    expect(keyOf(subjectOf(makeGrant('x'), done))).toBe(makeGrant('x').grantId)
    expect(keyOf(subjectOf(undefined, done))).toBe(done.jobId)
    expect(subjectOf(undefined, makeSnapshot())).toBeUndefined()
    expect(subjectOf(undefined, undefined)).toBeUndefined()
  })
})

describe('shownOfExport', () => {
  it('counts experts over all layers and shows where the export is now', () => {
    const shown = shownOfExport(makeGrant('moved'), exportReport('old-name'))
    expect(shown).toMatchObject({
      displayPath: '~/moved',
      checkpointName: 'big',
      recipe: 'nvfp4',
      profile: 'identical',
      sourceBytes: 900,
      outputBytes: 300,
      expertCount: 24,
      calibrationNotices: ['n'],
      run: undefined,
    })
  })
})

describe('useReportStore', () => {
  it('forgets the answer for an export that is not in view any more', async () => {
    const slow = makeDeferred<ExportReport>()
    const { grantId: slowId } = makeGrant('slow')
    setApi(
      createFakeApi({
        'report.get': (input) =>
          'grantId' in input && input.grantId === slowId ? slow.promise : exportReport('fast'),
      }),
    )
    const store = useReportStore()
    const pending = store.show(asSubject('slow'))
    await store.show(asSubject('fast'))
    slow.resolve(exportReport('slow'))
    await pending
    expect(store.details?.export.name).toBe('fast')
  })

  it('an export without a report keeps its error until it is read', async () => {
    let isThere = false
    setApi(
      createFakeApi({
        'report.get': () => {
          if (isThere) return exportReport('x')
          throw new AppError('REPORT_INVALID', { subject: 's', problem: 'p', remedy: 'r' })
        },
      }),
    )
    const store = useReportStore()
    await store.show(asSubject('x'))
    expect(store.error?.code).toBe('REPORT_INVALID')
    isThere = true
    await store.reload()
    expect([store.error, store.details?.export.name]).toEqual([undefined, 'x'])
  })

  it('is not verified unasked: an export may be any size, and its source elsewhere', async () => {
    const api = createFakeApi({
      'report.get': () => exportReport('x'),
      'check.start': () => {
        throw new AppError('CHECK_UNKNOWN', { subject: 's', problem: 'p', remedy: 'r' })
      },
    })
    setApi(api)
    const store = useReportStore()
    await store.show(asSubject('x'))
    expect(api.requests.map(({ route }) => route)).toEqual(['report.get'])
    await store.verify(makeGrant('big').grantId)
    expect(api.requests.at(-1)).toEqual({
      route: 'check.start',
      input: {
        kind: 'verify',
        grantId: makeGrant('x').grantId,
        sourceGrantId: makeGrant('big').grantId,
      },
    })
  })
})

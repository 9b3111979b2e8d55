/** The part of the host's interface that reads and writes nothing but reports. */
import { reportPage } from '../../engine/export/report/report-page.ts'
import type { HostApi } from '../host-api.ts'
import { readReport } from '../report/report-files.ts'
import { servedAt } from '../report/serve-at.ts'
import type { Checks } from './checks.ts'

type CheckRoutes =
  'check.start' | 'check.cancel' | 'check.get' | 'check.result' | 'report.get' | 'report.get_page'

export function checkRoutes(checks: Checks): Pick<HostApi, CheckRoutes> {
  return {
    'check.start': (request) => Promise.resolve({ checkId: checks.start(request) }),
    'check.cancel': async ({ checkId }) => {
      checks.cancel(checkId)
      return Promise.resolve()
    },
    'check.get': async ({ checkId }) => Promise.resolve(checks.snapshot(checkId)),
    'check.result': async ({ checkId }) => Promise.resolve(checks.result(checkId)),
    'report.get': async ({ exportPath }) => servedAt(await readReport(exportPath), exportPath),
    'report.get_page': async ({ exportPath }) => reportPage(await readReport(exportPath)),
  }
}

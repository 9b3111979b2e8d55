/** Doctor on a damaged export in memory, through folders on disk as the command does it. */
import { doctorExport, type DoctorReport } from '../../../main/host/doctor/doctor-export.ts'
import { ExportCopy, readFiles } from '../../tools/export-surgery.ts'
import { TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'

export interface Doctored {
  readonly report: DoctorReport
  /** undefined = nothing was written. */
  readonly result: ExportCopy | undefined
  /** Names of tensors whose bytes, dtype or shape differ from the damaged export, or that only one of them has. */
  readonly changed: readonly string[]
}

export async function doctor(damaged: ExportCopy, withSource = false): Promise<Doctored> {
  const exportPath = await damaged.write()
  const report = await doctorExport(
    {
      exportPath,
      sourcePath: withSource ? SAMPLE : undefined,
      outputPath: `${exportPath}-repaired`,
      workers: 1,
      canOverwrite: false,
    },
    TEST_ENVIRONMENT,
    { progress: () => undefined, isCancelled: () => false },
  )
  if (report.displayPath === undefined) return { report, result: undefined, changed: [] }
  const result = new ExportCopy(await readFiles(report.displayPath))
  return { report, result, changed: differences(damaged, result) }
}

/** Names of tensors that differ or that only one of two exports has. */
export function differences(before: ExportCopy, after: ExportCopy): readonly string[] {
  const [old, made] = [before.tensors(), after.tensors()]
  const names = new Set([...old.keys(), ...made.keys()])
  return [...names]
    .filter((name) => {
      const [a, b] = [old.get(name), made.get(name)]
      if (a === undefined || b === undefined) return true
      return (
        a.dtype !== b.dtype || a.shape.join() !== b.shape.join() || Buffer.compare(a.bytes, b.bytes) !== 0
      )
    })
    .sort()
}

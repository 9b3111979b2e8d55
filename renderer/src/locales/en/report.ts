/** Texts of the Report view. */
import { formatNumber } from '../../../../shared/domain/format-text.ts'

export const reportText = {
  title: 'Report',
  idleTitle: 'No report yet',
  idleMessage:
    'A finished run shows here where the checkpoint is, how large, what was not covered and how to serve it.',
  toRun: 'Go to Run',
  complete: 'Complete',
  completeMessage: 'Written, sealed and checked; nothing was reported.',
  withUncovered: 'Complete, with uncovered experts',
  uncoveredMessage: (count: number) =>
    `${formatNumber(count)} ${count === 1 ? 'expert' : 'experts'} saw no calibration token; see below.`,
  withFindings: 'Complete, with findings',
  findingsMessage: (count: number) =>
    `The export is complete; ${formatNumber(count)} ${count === 1 ? 'finding needs' : 'findings need'} a look.`,
  path: 'Location',
  copyPath: 'Copy the path',
  reveal: 'Show in folder',
  another: 'Another recipe',
  before: 'Before',
  after: 'After',
  saved: (percent: number) => `${formatNumber(percent, 1)} % less`,
  sizeTitle: 'Size',
  facts: {
    tensors: 'Tensors',
    quantized: (count: number) => `${formatNumber(count)} quantized`,
    experts: 'Experts',
    tokens: 'Calibrated on',
    tokenUnit: (count: number) => `${formatNumber(count)} tokens`,
    noTokens: 'no data',
    device: (device: string) => `device: ${device}`,
    duration: 'Time',
    workers: (count: number) => `${formatNumber(count)} ${count === 1 ? 'worker' : 'workers'}`,
    read: 'Bytes read',
    readDetail: (factor: number) => `${formatNumber(factor, 2)} × the source`,
    memory: 'Peak memory',
    memoryDetail: 'of the whole process',
  },
  coverage: {
    title: 'Uncovered experts',
    none: 'Calibration reached every expert.',
    notCalibrated: 'This recipe uses no calibration data, so there is nothing to cover.',
    some: (count: number, total: number) =>
      `${formatNumber(count)} of ${formatNumber(total)} experts saw no calibration token. Their input scales come from a fallback; more or broader data reaches them.`,
    layer: 'Layer',
    experts: 'Experts',
    fallback: 'Scale taken from',
    more: (count: number) => `and ${formatNumber(count)} more layers`,
  },
  findings: {
    title: 'Findings',
    none: 'None.',
    more: (count: number) => `and ${formatNumber(count)} more`,
  },
  repairs: {
    title: 'Repairs',
    note: 'what the hardened profile replaced so that every scale is finite and positive',
  },
  serve: { title: 'Serve it', copy: 'Copy the command' },
  files: { title: 'Files', name: 'File', bytes: 'Bytes' },
  stages: { title: 'Time by stage' },
} as const

/** Texts of the Report view. */
import { formatNumber } from '../../../../shared/domain/format-text.ts'

const windowCount = (windows: number, available: number | undefined): string =>
  `${formatNumber(windows)}${available === undefined ? '' : ` of ${formatNumber(available)}`} windows`

export const reportText = {
  title: 'Report',
  idleTitle: 'No report yet',
  idleMessage:
    'A finished run shows here where the checkpoint is, how large, what was not covered and how to serve it.',
  toRun: 'Go to Run',
  toLibrary: 'Exports in the library',
  loading: 'Reading the report…',
  failedTitle: 'This export has no report that can be shown',
  ofRun: 'Report of the run',
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
  compare: 'Compare with source',
  savePage: 'Export HTML',
  verification: {
    title: 'Verification',
    start: 'Verify against the source',
    startAlone: 'Verify every value',
    again: 'Verify again',
    running: 'Reading export and source',
    runningAlone: 'Reading the export',
    none: 'Not verified.',
    sound: 'sound',
    broken: 'not sound',
    scopes: {
      headers: 'Names, shapes, formats and configuration were checked, values were not.',
      values: 'Everything in the export was checked, without its source.',
      source: 'Every value was compared with the source.',
    },
    counts: (passed: number, broken: number, skipped: number) =>
      `${formatNumber(passed)} rules passed, ${formatNumber(broken)} with findings, ${formatNumber(skipped)} not applicable`,
    error: (matrices: number, percent: string) =>
      `${formatNumber(matrices)} matrices, relative error ${percent} %`,
    share: (percent: string) => `largest ${percent} % of its bound`,
  },
  quality: {
    title: 'Quality',
    none: 'Not measured in this run.',
    before: 'Perplexity before',
    after: 'after',
    tokens: (tokens: number, windows: number, available?: number) =>
      `${formatNumber(tokens)} tokens in ${windowCount(windows, available)}`,
    layersOnly: (windows: number, available?: number) =>
      `Errors of layers and experts only, on ${windowCount(windows, available)}.`,
    change: (percent: string) => `${percent} % change`,
    kl: 'KL divergence',
    klDetail: 'nats per token',
    top1: 'Same top token',
    top1Detail: 'of all positions',
    byLayer: 'Relative error of each layer; point at a bar or use the arrow keys',
    layer: (layer: number, percent: string, cosine: string) =>
      `Layer ${formatNumber(layer)}: relative error ${percent} %, cosine ${cosine}`,
    columns: { layer: 'Layer', expert: 'Worst experts', error: 'Relative error' },
  },
  map: {
    title: 'Experts',
    tokensTitle: 'Tokens routed to each expert, layers by experts. Arrow keys read single experts.',
    amaxTitle: 'Largest input magnitude of each expert, layers by experts. Arrow keys read single experts.',
    errorTitle: 'Relative error of each expert, layers by experts. Arrow keys read single experts.',
    tokenUnit: 'tokens',
    noToken: 'no token',
    noError: 'no error',
    tokens: (count: number) => `${formatNumber(count)} ${count === 1 ? 'token' : 'tokens'}`,
    amax: (value: string) => `largest input magnitude ${value}`,
    error: (percent: string) => `relative error ${percent} %`,
  },
  before: 'Before',
  after: 'After',
  saved: (percent: number) => `${formatNumber(percent, 1)} % less`,
  sizeTitle: 'Size',
  facts: {
    tensors: 'Tensors',
    quantized: (count: number) => `${formatNumber(count)} quantized`,
    bits: 'Bits per weight',
    bitsDetail: 'over all tensors',
    experts: 'Experts',
    uncovered: (count: number) => (count === 0 ? 'all covered' : `${formatNumber(count)} without a token`),
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

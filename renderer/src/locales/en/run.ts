/** Texts of the run view. */
import { formatBytes, formatNumber } from '../../../../shared/domain/format-text.ts'

export const runText = {
  title: 'Run',
  idleTitle: 'Nothing is running',
  idleMessage: 'Choose a recipe and start. Progress, the expert map and the log appear here.',
  toRecipe: 'Go to Recipe',
  starting: 'Starting the run…',
  refused: 'The run could not be started',
  states: {
    queued: 'Queued',
    running: 'Running',
    pausing: 'Pausing',
    paused: 'Paused',
    cancelling: 'Cancelling',
    cancelled: 'Cancelled',
    failed: 'Failed',
    succeeded: 'Finished',
  },
  queue: {
    title: 'Waiting',
    note: 'One run at a time; the next starts by itself',
    show: 'Show',
    remove: 'Remove',
  },
  removeQueued: 'Remove from the queue',
  queuedMessage: (position: number) =>
    position === 1
      ? 'This run is the next: it starts when the one before it has ended.'
      : `This run is number ${formatNumber(position)} in the queue. It starts by itself.`,
  cancel: 'Cancel run',
  pause: 'Pause',
  continue: 'Continue',
  pausedMessage: 'The device is released; what is finished is on disk. The run goes on from there.',
  cancelling: 'Stopping at the next safe point…',
  cancelledMessage:
    'The run was cancelled. What is finished is kept, under another name, and can be continued.',
  failedTitle: 'The run failed',
  showReport: 'Show report',
  back: 'Back to the recipe',
  again: {
    resume: 'Continue it',
    replace: 'Replace it',
    remedy: 'Replace it, or go back and choose another name or folder',
    remedyPartial: 'Continue it, replace it, or go back and choose another name or folder',
    question: 'Replace the output?',
    consequence: 'The folder and everything in it is deleted before the run starts. This cannot be undone.',
    keep: 'Keep it',
  },
  stages: {
    plan: 'Plan',
    calibrate: 'Calibrate',
    export: 'Quantize and write',
    seal: 'Seal',
    verify: 'Verify',
  },
  stageStates: { waiting: 'waiting', active: 'active', done: 'done', skipped: 'skipped' },
  units: {
    layers: (done: number, total: number) => `${formatNumber(done)} of ${formatNumber(total)} layers`,
    steps: (done: number, total: number) => `${formatNumber(done)} of ${formatNumber(total)}`,
    bytes: (done: number, total: number) => `${formatBytes(done)} of ${formatBytes(total)}`,
  },
  facts: {
    elapsed: 'Elapsed',
    eta: 'Remaining',
    rate: 'Throughput',
    layer: 'Layer',
    coverage: 'Experts reached',
    written: 'Processed',
  },
  estimating: 'estimating',
  // Layers carry their names, which count from 0, so the range is shown and not a total.
  layerOf: (layer: number, count: number) => `${formatNumber(layer)} of 0–${formatNumber(count - 1)}`,
  map: {
    title: 'Experts',
    label: 'Tokens routed to each expert, layers by experts. Arrow keys read single experts.',
    rows: 'Layer',
    columns: 'expert',
    unit: 'tokens',
    zero: 'no token',
    waiting: 'Appears with the first calibrated layer.',
    noCalibration: 'This recipe needs no data, so no tokens are routed.',
    amaxLabel: 'Largest input magnitude of each expert, layers by experts. Arrow keys read single experts.',
    amax: (value: string) => `largest input magnitude ${value}`,
    tokens: (count: number) => `${formatNumber(count)} ${count === 1 ? 'token' : 'tokens'}`,
    share: (factor: number) => `${formatNumber(factor, 2)} × an even share`,
    reached: (reached: number, total: number) =>
      `${formatNumber(reached)} of ${formatNumber(total)} experts reached`,
    spread: (low: number, middle: number, high: number) =>
      `per expert: least ${formatNumber(low)}, median ${formatNumber(middle)}, most ${formatNumber(high)} tokens`,
  },
  throughput: {
    title: 'Throughput',
    label: 'Bytes per second over the time of the run',
    waiting: 'Measured while weights are read and written.',
  },
  log: {
    title: 'Log',
    level: 'Least level',
    levels: { debug: 'All', info: 'Info', warn: 'Warnings', error: 'Errors' },
    empty: 'No lines yet.',
    none: 'No line matches the filter and the level.',
    filter: 'Filter lines',
    count: (shown: number, all: number) => `${formatNumber(shown)} of ${formatNumber(all)} lines`,
    copy: 'Copy the log',
    list: 'Log lines',
  },
} as const

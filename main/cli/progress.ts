/** Progress of a run on standard error: one rewritten line on a terminal, JSON lines with --json, sparse lines otherwise. */
import { formatBytes, formatDuration, formatRate } from '../../shared/domain/format-text.ts'
import type { JobSnapshot } from '../../shared/domain/job.ts'
import type { CommandContext } from './command.ts'

const BAR_WIDTH = 24
const JSON_INTERVAL_MS = 500

export function makeProgress(
  context: Pick<CommandContext, 'note' | 'isTerminal'>,
  isJson: boolean,
): (snapshot: JobSnapshot) => void {
  let lastStage = ''
  let lastMs = 0
  return (snapshot) => {
    const active = snapshot.stages.filter((stage) => stage.state === 'active').at(-1)
    const stage = active?.name ?? ''
    const isNewStage = stage !== lastStage
    lastStage = stage
    if (isJson) {
      const nowMs = performance.now()
      if (!isNewStage && nowMs - lastMs < JSON_INTERVAL_MS) return
      lastMs = nowMs
      context.note(`${JSON.stringify(brief(snapshot))}\n`)
    } else if (context.isTerminal) context.note(`\r\u001b[K${line(snapshot)}`)
    else if (isNewStage && stage !== '') context.note(`${stage}\n`)
  }
}

function brief(snapshot: JobSnapshot): Record<string, unknown> {
  const { state, stages, activeLayer, layerCount, bytesPerSecond, etaMs, elapsedMs } = snapshot
  return {
    state: state.kind,
    stages: stages.filter((stage) => stage.state !== 'waiting'),
    activeLayer,
    layerCount,
    bytesPerSecond,
    etaMs,
    elapsedMs,
  }
}

function line(snapshot: JobSnapshot): string {
  const stage = snapshot.stages.filter(({ state }) => state === 'active').at(-1)
  if (stage === undefined) return snapshot.state.kind
  const share = stage.total === 0 ? 0 : stage.done / stage.total
  const filled = Math.round(share * BAR_WIDTH)
  const amount =
    stage.unit === 'bytes'
      ? `${formatBytes(stage.done)} of ${formatBytes(stage.total)}`
      : `${String(stage.done)} of ${String(stage.total)} ${stage.unit}`
  const rate = snapshot.bytesPerSecond === undefined ? '' : `  ${formatRate(snapshot.bytesPerSecond)}`
  const eta = snapshot.etaMs === undefined ? '' : `  ${formatDuration(snapshot.etaMs)} left`
  return `${stage.name.padEnd(9)} [${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${amount}${rate}${eta}`
}

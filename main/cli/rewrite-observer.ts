/** What the commands that write an export anew tell on standard error: warnings, and on a terminal the bytes so far. */
import { formatBytes } from '../../shared/domain/format-text.ts'
import type { RewriteObserver } from '../host/convert/rewrite-export.ts'
import type { CommandContext } from './command.ts'

const CLEAR_LINE = '\r\u001b[K'

export function rewriteObserver(context: CommandContext): RewriteObserver {
  return {
    isCancelled: () => context.isCancelled(),
    warn: (message) => {
      context.note(`warning: ${message}\n`)
    },
    progress(doneBytes, totalBytes) {
      if (context.isTerminal)
        context.note(`${CLEAR_LINE}${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`)
    },
  }
}

/** Takes the last progress line away. */
export function endRewrite(context: CommandContext): void {
  if (context.isTerminal) context.note(CLEAR_LINE)
}

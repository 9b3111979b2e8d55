/** Who may talk to main. Checklist 17: only the main frame of a registered window that shows our own origin. */
import { APP_ORIGIN, isAppUrl } from './origin.ts'

/** The parts of Electron's IpcMainEvent and IpcMainInvokeEvent that decide. */
export interface SenderEvent {
  readonly sender: { readonly id: number; readonly mainFrame: object }
  /** null after the frame has navigated or was destroyed. */
  readonly senderFrame: { readonly url: string; readonly origin: string } | null
}

export function isTrustedSender(event: SenderEvent, windowIds: ReadonlySet<number>): boolean {
  const frame = event.senderFrame
  return (
    frame !== null &&
    windowIds.has(event.sender.id) &&
    frame === event.sender.mainFrame &&
    frame.origin === APP_ORIGIN &&
    isAppUrl(frame.url)
  )
}

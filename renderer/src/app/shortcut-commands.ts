/** Which command a key means, and how its keys are written. Pure; the listener is in useShortcuts. */
import { COMMAND_LIST, type AppCommand, type AppCommandId } from '../../../shared/domain/app-command.ts'

export interface KeyPress {
  readonly key: string
  /** Ctrl, or the command key. */
  readonly hasCommandKey: boolean
  readonly hasAlt: boolean
  readonly hasShift: boolean
  /** The focus is where letters are text. */
  readonly isTyping: boolean
  readonly hasSingleKeys: boolean
}

export function commandOf(press: KeyPress): AppCommandId | undefined {
  if (press.hasAlt) return undefined
  if (press.hasCommandKey) {
    if (press.hasShift) return undefined
    const accelerator = `CmdOrCtrl+${press.key.length === 1 ? press.key.toUpperCase() : press.key}`
    return COMMAND_LIST.find((command) => command.isMenuOnly !== true && command.accelerator === accelerator)
      ?.id
  }
  if (press.isTyping || !press.hasSingleKeys) return undefined
  const key = press.key.toLowerCase()
  return COMMAND_LIST.find((command) => command.key === key)?.id
}

/** `Ctrl+K` as people write it; on a Mac `⌘K`. */
export function acceleratorText(accelerator: string, isMac: boolean): string {
  if (!isMac) return accelerator.replace('CmdOrCtrl', 'Ctrl')
  return accelerator.replace('CmdOrCtrl+', '⌘').replace('Shift+', '⇧')
}

/** Every way to give the command where it is shown: the menu's keys only where there is a menu. */
export function keysOf(
  command: AppCommand,
  surface: { readonly hasMenu: boolean; readonly isMac: boolean; readonly hasSingleKeys: boolean },
): readonly string[] {
  const { accelerator, key, isMenuOnly } = command
  return [
    ...(accelerator !== undefined && (surface.hasMenu || isMenuOnly !== true)
      ? [acceleratorText(accelerator, surface.isMac)]
      : []),
    ...(key !== undefined && surface.hasSingleKeys ? [key.toUpperCase()] : []),
  ]
}

/** Listens to the keyboard of the whole window. While a dialog is open, keys belong to it. */
import { onBeforeUnmount, onMounted } from 'vue'
import type { AppCommandId } from '../../../shared/domain/app-command.ts'
import { commandOf } from './shortcut-commands.ts'

export interface ShortcutActions {
  perform(command: AppCommandId): void
  hasSingleKeys(): boolean
}

export function useShortcuts(actions: ShortcutActions): void {
  function pressed(event: KeyboardEvent): void {
    if (event.defaultPrevented || isDialogOpen()) return
    const command = commandOf({
      key: event.key,
      hasCommandKey: event.ctrlKey || event.metaKey,
      hasAlt: event.altKey,
      hasShift: event.shiftKey,
      isTyping: isTextTarget(event.target),
      hasSingleKeys: actions.hasSingleKeys(),
    })
    if (command === undefined || event.repeat) return
    event.preventDefault()
    actions.perform(command)
  }

  onMounted(() => {
    window.addEventListener('keydown', pressed)
  })
  onBeforeUnmount(() => {
    window.removeEventListener('keydown', pressed)
  })
}

export function isDialogOpen(): boolean {
  return document.querySelector('[role="dialog"]') !== null
}

function isTextTarget(target: EventTarget | null): boolean {
  if (target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement) return true
  return target instanceof HTMLInputElement && !['radio', 'checkbox'].includes(target.type)
}

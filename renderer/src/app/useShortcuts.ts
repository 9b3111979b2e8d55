/** Listens to the keyboard of the whole window. While a dialog is open, keys belong to it. */
import { onBeforeUnmount, onMounted } from 'vue'
import { commandOf, type ShortcutCommand } from './shortcut-commands.ts'
import type { Step } from './steps.ts'

export interface ShortcutActions {
  go(step: Step): void
  goOn(): void
  openFolder(): void
  openSample(): void
  pauseOrContinue(): void
  toggleTheme(): void
  showShortcuts(): void
  hasSingleKeys(): boolean
}

export function useShortcuts(actions: ShortcutActions): void {
  function pressed(event: KeyboardEvent): void {
    if (event.defaultPrevented || document.querySelector('[role="dialog"]') !== null) return
    const command = commandOf({
      key: event.key,
      hasCommandKey: event.ctrlKey || event.metaKey,
      hasAlt: event.altKey,
      isTyping: isTextTarget(event.target),
      hasSingleKeys: actions.hasSingleKeys(),
    })
    if (command === undefined || event.repeat) return
    event.preventDefault()
    perform(command, actions)
  }

  onMounted(() => {
    window.addEventListener('keydown', pressed)
  })
  onBeforeUnmount(() => {
    window.removeEventListener('keydown', pressed)
  })
}

function perform(command: ShortcutCommand, actions: ShortcutActions): void {
  switch (command.kind) {
    case 'go':
      actions.go(command.step)
      break
    case 'go_on':
      actions.goOn()
      break
    case 'open_folder':
      actions.openFolder()
      break
    case 'open_sample':
      actions.openSample()
      break
    case 'pause_or_continue':
      actions.pauseOrContinue()
      break
    case 'toggle_theme':
      actions.toggleTheme()
      break
    case 'focus_filter':
      document.querySelector<HTMLInputElement>('input[data-filter]')?.focus()
      break
    case 'show_shortcuts':
      actions.showShortcuts()
      break
  }
}

function isTextTarget(target: EventTarget | null): boolean {
  if (target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement) return true
  return target instanceof HTMLInputElement && !['radio', 'checkbox'].includes(target.type)
}

/** Every command of the window: whether it means anything now, and what it does. Menu, keys and palette all end here. */
import { computed, nextTick, type ComputedRef } from 'vue'
import { COMMAND_LIST, type AppCommandId } from '../../../shared/domain/app-command.ts'
import { useCheckpointStore } from '../features/checkpoint/useCheckpointStore.ts'
import { useCompareStore } from '../features/compare/useCompareStore.ts'
import { useLibraryStore } from '../features/library/useLibraryStore.ts'
import { useRecipeStore } from '../features/recipe/useRecipeStore.ts'
import { useRunStore } from '../features/run/useRunStore.ts'
import { text } from '../locales/en.ts'
import { keysOf } from './shortcut-commands.ts'
import type { View } from './steps.ts'
import { useAppStore } from './useAppStore.ts'
import type { Flow } from './useFlow.ts'
import { nextChoice, useThemeStore } from './useThemeStore.ts'

export interface PaletteEntry {
  readonly key: string
  readonly title: string
  readonly detail: string
  readonly keys: readonly string[]
  readonly isEnabled: boolean
  readonly perform: () => void
}

export interface Commands {
  readonly perform: (command: AppCommandId) => void
  /** The commands, then what was used lately. */
  readonly entries: ComputedRef<readonly PaletteEntry[]>
}

/** Recent checkpoints and exports that the palette offers. */
const RECENT_ENTRIES = 12

export function useCommands(flow: Flow): Commands {
  const app = useAppStore()
  const themes = useThemeStore()
  const checkpoint = useCheckpointStore()
  const compare = useCompareStore()
  const library = useLibraryStore()
  const recipe = useRecipeStore()
  const run = useRunStore()

  const go = (view: View) => (): void => {
    app.view = view
  }

  /** The way on from the view in front: the same as its primary button. */
  function onward(): (() => void) | undefined {
    if (app.view === 'checkpoint' && checkpoint.opened !== undefined) return go('recipe')
    if (app.view === 'recipe' && recipe.canStart) return () => void flow.startRun()
    if (app.view === 'run' && run.current?.state.kind === 'succeeded')
      return () => {
        flow.showRunReport()
      }
    if (app.view === 'compare' && compare.canStart) return () => void compare.start()
    return undefined
  }

  const actions: Readonly<Record<AppCommandId, () => void>> = {
    show_palette: () => {
      app.dialog = 'palette'
    },
    show_shortcuts: () => {
      app.dialog = 'shortcuts'
    },
    go_on: () => onward()?.(),
    open_folder: () => void flow.openFolder(),
    open_sample: () => void flow.openSample(),
    go_library: go('library'),
    go_checkpoint: go('checkpoint'),
    go_recipe: go('recipe'),
    go_run: go('run'),
    go_report: go('report'),
    go_compare: go('compare'),
    go_settings: go('settings'),
    pause_or_continue: () => void flow.pauseOrContinue(),
    cancel_run: () => void flow.cancelRun(),
    // After the palette has given the focus back.
    focus_filter: () =>
      void nextTick(() => document.querySelector<HTMLInputElement>('input[data-filter]')?.focus()),
    toggle_theme: () => void flow.setPreferences({ theme: nextChoice(themes.choice) }),
  }

  function isEnabled(command: AppCommandId): boolean {
    const state = run.current?.state.kind
    switch (command) {
      case 'go_on':
        return onward() !== undefined
      case 'open_sample':
        return app.known?.hasSample ?? true
      case 'pause_or_continue':
        return state === 'running' || state === 'paused'
      case 'cancel_run':
        return run.isActive
      default:
        return true
    }
  }

  const entries = computed<readonly PaletteEntry[]>(() => {
    const surface = {
      hasMenu: app.known?.surface === 'electron',
      isMac: navigator.userAgent.includes('Mac OS'),
      hasSingleKeys: app.hasSingleKeys,
    }
    const commands = COMMAND_LIST.filter(({ id }) => id !== 'show_palette').map((command) => ({
      key: command.id,
      title: text.commands[command.id],
      detail: '',
      keys: keysOf(command, surface),
      isEnabled: isEnabled(command.id),
      perform: actions[command.id],
    }))
    const recent = library.openable.slice(0, RECENT_ENTRIES).map((entry) => ({
      key: entry.entryId,
      title: text.palette.open(entry.name),
      detail: entry.displayPath,
      keys: [],
      isEnabled: true,
      perform: () => void flow.openEntry(entry),
    }))
    return [...commands, ...recent]
  })

  return {
    perform: (command) => {
      if (isEnabled(command)) actions[command]()
    },
    entries,
  }
}

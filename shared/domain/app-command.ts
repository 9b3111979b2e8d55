/**
 * What a user can tell the window, with the keys for it: one list for the native menu, the shortcuts, their dialog and the command palette.
 */

export interface AppCommand {
  readonly id: string
  /** In Electron's notation; `CmdOrCtrl` is the command key on macOS. */
  readonly accelerator?: string
  /** A key without modifier, outside text fields. */
  readonly key?: string
  /** The desktop's menu has this accelerator; a browser keeps it for itself. */
  readonly isMenuOnly?: boolean
}

const APP_COMMANDS = [
  { id: 'show_palette', accelerator: 'CmdOrCtrl+K' },
  { id: 'go_on', accelerator: 'CmdOrCtrl+Enter' },
  { id: 'open_folder', accelerator: 'CmdOrCtrl+O', key: 'o', isMenuOnly: true },
  { id: 'open_sample', accelerator: 'CmdOrCtrl+Shift+O', key: 's', isMenuOnly: true },
  { id: 'go_library', key: 'l' },
  { id: 'go_checkpoint', accelerator: 'CmdOrCtrl+1', key: '1', isMenuOnly: true },
  { id: 'go_recipe', accelerator: 'CmdOrCtrl+2', key: '2', isMenuOnly: true },
  { id: 'go_run', accelerator: 'CmdOrCtrl+3', key: '3', isMenuOnly: true },
  { id: 'go_report', accelerator: 'CmdOrCtrl+4', key: '4', isMenuOnly: true },
  { id: 'go_compare', key: 'c' },
  { id: 'go_settings', accelerator: 'CmdOrCtrl+,' },
  { id: 'pause_or_continue', key: 'p' },
  { id: 'cancel_run' },
  { id: 'focus_filter', key: '/' },
  { id: 'toggle_theme', key: 't' },
  { id: 'show_shortcuts', key: '?' },
] as const satisfies readonly AppCommand[]

export type AppCommandId = (typeof APP_COMMANDS)[number]['id']

/** The same list with every field of AppCommand readable. */
export const COMMAND_LIST: readonly (AppCommand & { readonly id: AppCommandId })[] = APP_COMMANDS

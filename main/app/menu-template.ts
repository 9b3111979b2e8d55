/** The native menu as data: commands of the window with their keys, and the system's roles; nothing that opens a page. Pure. */
import type { MenuItemConstructorOptions } from 'electron'
import { COMMAND_LIST, type AppCommandId } from '../../shared/domain/app-command.ts'

export interface MenuSurroundings {
  readonly isMac: boolean
  /** Reloading and developer tools are for development. */
  readonly isPackaged: boolean
  readonly onCommand: (command: AppCommandId) => void
}

export function menuTemplate({
  isMac,
  isPackaged,
  onCommand,
}: MenuSurroundings): MenuItemConstructorOptions[] {
  const command = (id: AppCommandId, label: string): MenuItemConstructorOptions => {
    const accelerator = COMMAND_LIST.find((entry) => entry.id === id)?.accelerator
    return {
      id,
      label,
      ...(accelerator === undefined ? {} : { accelerator }),
      click: () => {
        onCommand(id)
      },
    }
  }
  const line: MenuItemConstructorOptions = { type: 'separator' }
  const settings = command('go_settings', isMac ? 'Settings…' : '&Settings…')
  const development: MenuItemConstructorOptions[] = isPackaged
    ? []
    : [line, { role: 'reload' }, { role: 'toggleDevTools' }]
  return [
    ...(isMac ? [{ role: 'appMenu' } as const] : []),
    {
      label: '&File',
      submenu: [
        command('open_folder', '&Open Checkpoint Folder…'),
        command('open_sample', 'Open &Sample'),
        line,
        settings,
        line,
        isMac ? { role: 'close' } : { role: 'quit' },
      ],
    },
    { role: 'editMenu' },
    {
      label: '&Go',
      submenu: [
        command('show_palette', '&Commands…'),
        line,
        command('go_library', '&Library'),
        command('go_checkpoint', 'Ch&eckpoint'),
        command('go_recipe', '&Recipe'),
        command('go_run', 'R&un'),
        command('go_report', 'Re&port'),
      ],
    },
    {
      label: '&Run',
      submenu: [
        command('go_on', '&Next Step or Start'),
        command('pause_or_continue', '&Pause or Continue'),
        command('cancel_run', '&Cancel'),
      ],
    },
    {
      label: '&View',
      submenu: [
        command('toggle_theme', 'Change &Theme'),
        line,
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        line,
        { role: 'togglefullscreen' },
        ...development,
      ],
    },
    { role: 'windowMenu' },
    { role: 'help', submenu: [command('show_shortcuts', '&Keyboard Shortcuts')] },
  ]
}

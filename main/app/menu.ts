/** The application menu: editing, view and window roles; nothing that opens a page. */
import { app, Menu, type MenuItemConstructorOptions } from 'electron'
import type { AppModule } from './app-module.ts'

export const menuModule: AppModule = {
  enable() {
    const view: MenuItemConstructorOptions[] = [
      { role: 'resetZoom' },
      { role: 'zoomIn' },
      { role: 'zoomOut' },
      { type: 'separator' },
      { role: 'togglefullscreen' },
    ]
    if (!app.isPackaged) view.push({ role: 'reload' }, { role: 'toggleDevTools' })
    const template: MenuItemConstructorOptions[] = [
      ...(process.platform === 'darwin' ? [{ role: 'appMenu' } as const] : []),
      { label: '&File', submenu: [process.platform === 'darwin' ? { role: 'close' } : { role: 'quit' }] },
      { role: 'editMenu' },
      { label: '&View', submenu: view },
      { role: 'windowMenu' },
    ]
    Menu.setApplicationMenu(Menu.buildFromTemplate(template))
  },
}

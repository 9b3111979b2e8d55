/** Puts the menu in place; what is chosen goes to the window as an event. */
import { app, Menu } from 'electron'
import type { AppModule } from './app-module.ts'
import { menuTemplate } from './menu-template.ts'

export const menuModule: AppModule = {
  enable({ events }) {
    const template = menuTemplate({
      isMac: process.platform === 'darwin',
      isPackaged: app.isPackaged,
      onCommand: (command) => {
        events.emit('app.command', { command })
      },
    })
    Menu.setApplicationMenu(Menu.buildFromTemplate(template))
  },
}

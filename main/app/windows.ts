/** The application's windows: the only file that creates one. Checklist 2 to 4 and 17: only what is registered here may talk to main. */
import { BrowserWindow, screen } from 'electron'
import { EVENT_CHANNEL } from '../ipc/channels.ts'
import { START_URL } from '../security/origin.ts'
import { WEB_PREFERENCES } from '../security/web-preferences.ts'
import { onScreen, readWindowState, writeWindowState } from './window-state.ts'

export interface AppWindowsOptions {
  readonly preloadFile: string
  readonly stateFile: string
}

export class AppWindows {
  readonly #options: AppWindowsOptions
  readonly #contentsIds = new Set<number>()
  #main: BrowserWindow | undefined

  constructor(options: AppWindowsOptions) {
    this.#options = options
  }

  /** Ids of the web contents that may send messages. */
  get contentsIds(): ReadonlySet<number> {
    return this.#contentsIds
  }

  get main(): BrowserWindow | undefined {
    return this.#main
  }

  /** Opens the window, or brings the open one to the front. */
  async open(): Promise<void> {
    if (this.#main !== undefined) {
      if (this.#main.isMinimized()) this.#main.restore()
      this.#main.focus()
      return
    }
    await this.#create().loadURL(START_URL)
  }

  send(event: string, payload: unknown): void {
    this.#main?.webContents.send(EVENT_CHANNEL, event, payload)
  }

  #create(): BrowserWindow {
    const areas = screen.getAllDisplays().map(({ workArea }) => workArea)
    const { isMaximized, width, height, x, y } = onScreen(readWindowState(this.#options.stateFile), areas)
    const window = new BrowserWindow({
      width,
      height,
      ...(x === undefined || y === undefined ? {} : { x, y }),
      minWidth: 640,
      minHeight: 480,
      show: false,
      title: 'Quantmill',
      webPreferences: { ...WEB_PREFERENCES, preload: this.#options.preloadFile },
    })
    const { id } = window.webContents
    this.#contentsIds.add(id)
    this.#main = window
    window.once('ready-to-show', () => {
      if (isMaximized) window.maximize()
      window.show()
    })
    window.on('close', () => {
      writeWindowState(this.#options.stateFile, {
        ...window.getNormalBounds(),
        isMaximized: window.isMaximized(),
      })
    })
    window.on('closed', () => {
      this.#contentsIds.delete(id)
      this.#main = undefined
    })
    return window
  }
}

/** Electron as the modules of main see it: every registration is kept, nothing happens by itself. For `vi.mock('electron', ...)`. */
type Listener = (...parts: never[]) => unknown

export interface FakeElectron {
  /** Calls in order, `app.quit` and the like, with their arguments. */
  readonly calls: (readonly [name: string, ...parts: unknown[]])[]
  /** Registered handlers by `<object>.<method> <name>`, or without a name for setters. */
  readonly handlers: Map<string, Listener>
  /** Answers that a test chooses. */
  readonly answers: { hasSwitch: boolean; isFirst: boolean }
  readonly module: Record<string, unknown>
}

export function makeFakeElectron(): FakeElectron {
  const calls: FakeElectron['calls'] = []
  const handlers = new Map<string, Listener>()
  const answers = { hasSwitch: false, isFirst: true }
  const noted =
    (name: string, result?: unknown) =>
    (...parts: unknown[]) => {
      calls.push([name, ...parts])
      return result
    }
  const on =
    (object: string, method = 'on') =>
    (name: string, listener: Listener) =>
      handlers.set(`${object}.${method} ${name}`, listener)
  const setter = (name: string) => (listener: Listener) => handlers.set(name, listener)
  const contents = {
    id: 7,
    on: on('contents'),
    setWindowOpenHandler: setter('contents.setWindowOpenHandler'),
    send: noted('contents.send'),
  }
  class BrowserWindow {
    readonly webContents = contents
    readonly on = on('window')
    readonly once = on('window', 'once')
    readonly loadURL = noted('window.loadURL', Promise.resolve())
    readonly focus = noted('window.focus')
    readonly restore = noted('window.restore')
    readonly isMinimized = (): boolean => true
    constructor(options: unknown) {
      calls.push(['new BrowserWindow', options])
    }
  }
  const session = {
    setPermissionRequestHandler: setter('session.setPermissionRequestHandler'),
    setPermissionCheckHandler: setter('session.setPermissionCheckHandler'),
    setDevicePermissionHandler: setter('session.setDevicePermissionHandler'),
    webRequest: { onBeforeRequest: setter('session.onBeforeRequest') },
    protocol: { handle: on('protocol', 'handle') },
  }
  return {
    calls,
    handlers,
    answers,
    module: {
      app: {
        on: on('app'),
        quit: noted('app.quit'),
        exit: noted('app.exit'),
        setPath: noted('app.setPath'),
        getVersion: () => '0.0.0',
        enableSandbox: noted('app.enableSandbox'),
        commandLine: { hasSwitch: () => answers.hasSwitch },
        requestSingleInstanceLock: () => {
          calls.push(['app.requestSingleInstanceLock'])
          return answers.isFirst
        },
        whenReady: noted('app.whenReady', Promise.resolve()),
        isPackaged: true,
      },
      BrowserWindow,
      dialog: { showErrorBox: noted('dialog.showErrorBox'), showMessageBox: noted('dialog.showMessageBox') },
      ipcMain: { handle: on('ipcMain', 'handle'), on: on('ipcMain') },
      protocol: { registerSchemesAsPrivileged: noted('protocol.registerSchemesAsPrivileged') },
      screen: { getAllDisplays: () => [{ workArea: { x: 0, y: 0, width: 1600, height: 1000 } }] },
      session: { defaultSession: session },
      shell: { showItemInFolder: noted('shell.showItemInFolder') },
      utilityProcess: {
        fork: (...parts: unknown[]) => {
          calls.push(['utilityProcess.fork', ...parts])
          return { on: on('child'), once: on('child', 'once'), stdout: null, stderr: null }
        },
      },
    },
  }
}

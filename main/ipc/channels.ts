/** The three Electron channels. The preload script and the router share the names; nothing else may use ipcMain or ipcRenderer. */

/** Renderer to main, answered: (route, input) -> Reply. */
export const REQUEST_CHANNEL = 'quantmill:request'
/** Main to renderer: (event name, payload). */
export const EVENT_CHANNEL = 'quantmill:event'
/** Preload to main, not reachable from the page: paths of files that the user dropped on the window. */
export const DROP_CHANNEL = 'quantmill:drop'

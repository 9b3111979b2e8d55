/** Preferences of every window. Checklist 2, 3, 4, 6, 8, 9, 10, 11: each is stated although most are defaults, so that an upgrade cannot change them. */
import type { WebPreferences } from 'electron'

export const WEB_PREFERENCES = {
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  contextIsolation: true,
  sandbox: true,
  webSecurity: true,
  allowRunningInsecureContent: false,
  experimentalFeatures: false,
  webviewTag: false,
  navigateOnDragDrop: false,
  plugins: false,
  spellcheck: false,
  safeDialogs: true,
  /** Middle click must not open windows. */
  disableBlinkFeatures: 'Auxclick',
} as const satisfies WebPreferences

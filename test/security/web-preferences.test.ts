import { expect, test } from 'vitest'
import { WEB_PREFERENCES } from '../../main/security/web-preferences.ts'

// Rows 2 to 4, 6, 8 to 11. Catches a preference that was loosened or removed, also when the default happens to be the same today.
test('every preference that separates the page from the system is stated', () => {
  expect(WEB_PREFERENCES).toEqual({
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
    disableBlinkFeatures: 'Auxclick',
  })
})

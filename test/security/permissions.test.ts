import { expect, test } from 'vitest'
import { denyPermissions, isPermissionAllowed } from '../../main/security/permissions.ts'

const NAMES = [
  'ar',
  'automatic-fullscreen',
  'background-fetch',
  'background-sync',
  'captured-surface-control',
  'clipboard-read',
  'deprecated-sync-clipboard-read',
  'display-capture',
  'fileSystem',
  'fullscreen',
  'geolocation',
  'hand-tracking',
  'hid',
  'idle-detection',
  'keyboardLock',
  'local-fonts',
  'local-network',
  'media',
  'mediaKeySystem',
  'midi',
  'midiSysex',
  'nfc',
  'notifications',
  'openExternal',
  'payment-handler',
  'periodic-background-sync',
  'persistent-storage',
  'pointerLock',
  'screen-wake-lock',
  'sensors',
  'serial',
  'smart-card',
  'speaker-selection',
  'storage-access',
  'system-wake-lock',
  'top-level-storage-access',
  'usb',
  'vr',
  'web-app-installation',
  'web-printing',
  'window-management',
  'unknown',
  // names that an object lookup would find by accident
  'constructor',
  'toString',
  '__proto__',
  '',
]

// Row 5. Electron grants what no handler denies.
test.each(NAMES)('%s is denied', (name) => {
  expect(isPermissionAllowed(name)).toBe(false)
})

test('copying plain text is the only permission', () => {
  expect(isPermissionAllowed('clipboard-sanitized-write')).toBe(true)
})

test('request, check and device handlers are all set and all deny', () => {
  type Handler = (...parts: unknown[]) => unknown
  const set: Record<string, Handler> = {}
  const keep = (name: string) => (handler: unknown) => {
    set[name] = handler as Handler
  }
  denyPermissions({
    setPermissionRequestHandler: keep('request'),
    setPermissionCheckHandler: keep('check'),
    setDevicePermissionHandler: keep('device'),
  } as unknown as Parameters<typeof denyPermissions>[0])
  const answers: unknown[] = []
  set['request']?.(null, 'media', (isGranted: boolean) => answers.push(isGranted))
  expect(answers).toEqual([false])
  expect(set['check']?.(null, 'usb', 'app://ui')).toBe(false)
  expect(set['device']?.({ deviceType: 'usb' })).toBe(false)
})

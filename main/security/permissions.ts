/** Web permissions: denied unless listed with a reason. Checklist 5: Electron grants everything by default. */
import type { Session } from 'electron'

const ALLOWED_PERMISSIONS: Readonly<Record<string, string>> = {
  'clipboard-sanitized-write': 'the Report view copies the command that serves an export',
}

export function isPermissionAllowed(permission: string): boolean {
  return Object.hasOwn(ALLOWED_PERMISSIONS, permission)
}

export function denyPermissions(
  session: Pick<
    Session,
    'setPermissionRequestHandler' | 'setPermissionCheckHandler' | 'setDevicePermissionHandler'
  >,
): void {
  session.setPermissionRequestHandler((_contents, permission, callback) => {
    callback(isPermissionAllowed(permission))
  })
  session.setPermissionCheckHandler((_contents, permission) => isPermissionAllowed(permission))
  session.setDevicePermissionHandler(() => false)
}

/** Rows of Electron's checklist. */
import { of } from './mutation.mjs'

export const CHECKLIST = [
  ...of('main/security/network-filter.ts', 'security/navigation.test.ts', [
    ['1', 'foreign requests are cancelled', 'cancel: !isAllowed', 'cancel: false'],
    [
      '1',
      'only our scheme is allowed',
      'return isAppUrl(url) ||',
      "return url.startsWith('https:') || isAppUrl(url) ||",
    ],
    ['1', 'developer tools stay out of a release', '(isDevelopment && URL', '(URL'],
  ]),
  ...of('main/app/security.ts', 'security/wiring.test.ts', [
    [
      '1',
      'the filter is registered',
      'blockNetwork(defaultSession',
      'void ((..._: unknown[]) => _)(blockNetwork, defaultSession',
    ],
    [
      '5',
      'the handlers are registered',
      '    denyPermissions(defaultSession)\n',
      '    void denyPermissions\n',
    ],
    [
      '13',
      'every web contents is guarded',
      'guardContents(contents, (what, url)',
      'void ((..._: unknown[]) => _)(guardContents, contents, (what: string, url: string)',
    ],
  ]),
  ...of('main/security/web-preferences.ts', 'security/web-preferences.test.ts', [
    ['6', 'webSecurity', 'webSecurity: true', 'webSecurity: false'],
    ['8', 'no insecure content', 'allowRunningInsecureContent: false', 'allowRunningInsecureContent: true'],
    ['2', 'no Node in pages', 'nodeIntegration: false', 'nodeIntegration: true'],
    ['2', 'no Node in workers', 'nodeIntegrationInWorker: false', 'nodeIntegrationInWorker: true'],
    ['2', 'no Node in frames', 'nodeIntegrationInSubFrames: false', 'nodeIntegrationInSubFrames: true'],
    ['3', 'context isolation', 'contextIsolation: true', 'contextIsolation: false'],
    ['4', 'sandbox of each window', 'sandbox: true', 'sandbox: false'],
    ['9', 'no experimental features', 'experimentalFeatures: false', 'experimentalFeatures: true'],
    ['10', 'middle click opens nothing', "disableBlinkFeatures: 'Auxclick'", "disableBlinkFeatures: ''"],
    ['11', 'the tag is off', 'webviewTag: false', 'webviewTag: true'],
    ['13', 'a drop does not navigate', 'navigateOnDragDrop: false', 'navigateOnDragDrop: true'],
  ]),
  ...of('main/app/windows.ts', 'security/wiring.test.ts', [
    ['3', 'windows use the constant', '...WEB_PREFERENCES, ', ''],
  ]),
  ...of('main/index.ts', 'security/entry.test.ts', [
    ['4', 'sandbox of the application', 'app.enableSandbox()', 'void 0'],
    [
      '18',
      'registered before ready',
      'protocol.registerSchemesAsPrivileged([APP_SCHEME_PRIVILEGES])\n',
      'void [protocol, APP_SCHEME_PRIVILEGES]\n',
    ],
  ]),
  ...of('main/security/permissions.ts', 'security/permissions.test.ts', [
    [
      '5',
      'the table denies',
      'Object.hasOwn(ALLOWED_PERMISSIONS, permission)',
      'permission in ALLOWED_PERMISSIONS',
    ],
    ['5', 'requests are denied', 'callback(isPermissionAllowed(permission))', 'callback(true)'],
    ['5', 'checks are denied', '(_contents, permission) => isPermissionAllowed(permission)', '() => true'],
    [
      '5',
      'devices are denied',
      'setDevicePermissionHandler(() => false)',
      'setDevicePermissionHandler(() => true)',
    ],
  ]),
  ...of('main/security/response-headers.ts', 'security/content-security-policy.test.ts', [
    ['7', 'scripts of our own only', "script-src 'self'", "script-src 'self' 'unsafe-inline'"],
    ['7', 'the default denies', '  "default-src \'none\'",\n', ''],
  ]),
  ...of('main/security/app-protocol.ts', 'security/renderer-files.test.ts', [
    [
      '7',
      'the policy is sent by the scheme',
      "headers: { ...SECURITY_HEADERS, 'Content-Type': file",
      "headers: { 'Content-Type': file",
    ],
    ['18', 'GET only', "if (request.method !== 'GET') return refusal(405)", ''],
    ['18', 'no bypassCSP', 'codeCache: true }', 'codeCache: true, bypassCSP: true }'],
  ]),
  ...of('main/serve/start-server.ts', 'security/server.test.ts', [
    [
      '7',
      'the policy is sent by the server',
      "...SECURITY_HEADERS, 'Content-Type': file.contentType",
      "'Content-Type': file.contentType",
    ],
  ]),
  ...of('main/security/navigation-guard.ts', 'security/navigation.test.ts', [
    [
      '12',
      'attaching is prevented',
      "(event) => {\n    event.preventDefault()\n    onBlocked('will-attach-webview'",
      "() => {\n    onBlocked('will-attach-webview'",
    ],
    ['13', 'foreign navigation is prevented', 'details.preventDefault()', 'void details'],
    ['13', 'redirects are watched', "contents.on('will-redirect'", "contents.on('did-navigate'"],
    ['13', 'frames are watched', "contents.on('will-frame-navigate'", "contents.on('did-navigate'"],
    ['14', 'new windows are denied', "action: 'deny'", "action: 'allow'"],
  ]),
  ...of('main/security/origin.ts', 'security/navigation.test.ts', [
    ['13', 'the host is compared whole', 'url.hostname === APP_HOST', 'url.hostname.startsWith(APP_HOST)'],
    ['13', 'the port is compared', "    url.port === '' &&\n", ''],
    ['13', 'no user name', "    url.username === '' &&\n", ''],
  ]),
  ...of('main/app/requests.ts', 'security/source-rules.test.ts', [
    ['15', 'nothing opens other programs', 'shell.showItemInFolder(path)', 'void shell.openExternal(path)'],
  ]),
  ...of('package.json', 'security/package.test.ts', [
    ['16', 'the version is pinned', '"electron": "45.', '"electron": "^45.'],
  ]),
  ...of('main/security/sender-check.ts', 'security/sender.test.ts', [
    ['17', 'the window must be registered', 'windowIds.has(event.sender.id)', '(windowIds.size > 0)'],
    ['17', 'main frame only', '    frame === event.sender.mainFrame &&\n', ''],
    ['17', 'our origin', '    frame.origin === APP_ORIGIN &&\n', ''],
    ['17', 'our address', 'isAppUrl(frame.url)', "(frame.url !== 'x' || isAppUrl(frame.url))"],
  ]),
  ...of('main/app/requests.ts', 'security/wiring.test.ts', [
    [
      '17',
      'requests are checked',
      'if (isTrusted(event, context)) return',
      'if (isTrusted(event, context) || true) return',
    ],
    [
      '17',
      'drops are checked',
      'if (!isTrusted(event, context)) {',
      'if (!isTrusted(event, context) && false) {',
    ],
  ]),
  ...of('main/app/menu.ts', 'security/source-rules.test.ts', [
    [
      '17',
      'one file receives messages',
      "from 'electron'\n",
      "from 'electron'\nimport { ipcMain } from 'electron'\nvoid ipcMain\n",
    ],
  ]),
  ...of('main/security/renderer-files.ts', 'security/renderer-files.test.ts', [
    ['18', 'no way up', "segment === '.' || segment === '..'", "segment === '.'"],
    ['18', 'links do not lead out', '!isInside(realFile, realFolder) || ', ''],
    [
      '18',
      'backslash, colon and NUL',
      'if (/[\\\\:\\0]/.test(path)) return undefined',
      "path = path.replaceAll('\\\\', '/').replaceAll('\\0', '')",
    ],
    ['18', 'known types only', 'if (contentType === undefined) return undefined', ''],
  ]),
  ...of('electron-builder.yml', 'security/package.test.ts', [
    ['19', 'runAsNode: false', 'runAsNode: false', 'runAsNode: true'],
    ['19', 'enableCookieEncryption: true', 'enableCookieEncryption: true', 'enableCookieEncryption: false'],
    [
      '19',
      'enableNodeOptionsEnvironmentVariable: false',
      'enableNodeOptionsEnvironmentVariable: false',
      'enableNodeOptionsEnvironmentVariable: true',
    ],
    [
      '19',
      'enableNodeCliInspectArguments: false',
      'enableNodeCliInspectArguments: false',
      'enableNodeCliInspectArguments: true',
    ],
    [
      '19',
      'enableEmbeddedAsarIntegrityValidation: true',
      'enableEmbeddedAsarIntegrityValidation: true',
      'enableEmbeddedAsarIntegrityValidation: false',
    ],
    ['19', 'onlyLoadAppFromAsar: true', 'onlyLoadAppFromAsar: true', 'onlyLoadAppFromAsar: false'],
    [
      '19',
      'loadBrowserProcessSpecificV8Snapshot: false',
      'loadBrowserProcessSpecificV8Snapshot: false',
      'loadBrowserProcessSpecificV8Snapshot: true',
    ],
    [
      '19',
      'grantFileProtocolExtraPrivileges: false',
      'grantFileProtocolExtraPrivileges: false',
      'grantFileProtocolExtraPrivileges: true',
    ],
  ]),
  ...of('main/preload/index.ts', 'security/preload.test.ts', [
    ['20', 'no object of Electron is exposed', '  request: (route', '  ipcRenderer,\n  request: (route'],
    [
      '20',
      'no event object reaches the page',
      '(_event: IpcRendererEvent, name',
      '(payload: IpcRendererEvent, name',
    ],
  ]),
  ...of('main/ipc/router.ts', 'security/requests.test.ts', [
    [
      '20',
      'unknown routes are refused',
      "if (typeof route !== 'string' || !isRouteName(route)) throw",
      "if (typeof route !== 'string' || (!isRouteName(route) && !Object.hasOwn(route, 'length'))) throw",
    ],
    [
      '20',
      'inputs follow their schema',
      'if (!parsed.success) {',
      'if (!parsed.success && route.length === 0) {',
    ],
  ]),
  ...of('main/ipc/input-budget.ts', 'security/requests.test.ts', [
    ['20', 'depth is bounded', ' || depth > MAX_DEPTH', ''],
    ['20', 'values are counted', 'values > MAX_VALUES || ', ''],
    ['20', 'texts are bounded', '<= MAX_CHARACTERS\n    if', '>= 0\n    if'],
    ['20', 'keys are bounded', 'key.length) > MAX_CHARACTERS', 'key.length) < 0'],
    ['20', 'plain data only', 'if (!isPlainObject(value)) return false', 'void isPlainObject'],
  ]),
]

import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { APP_SCHEME_PRIVILEGES, answerAppRequest } from '../../main/security/app-protocol.ts'
import { pathSegments, readRendererFile } from '../../main/security/renderer-files.ts'
import { temporaryFolder } from '../tools/temporary-folder.ts'

let folder = ''

beforeAll(async () => {
  const top = await temporaryFolder()
  folder = join(top, 'renderer')
  await mkdir(join(folder, 'assets'), { recursive: true })
  await mkdir(join(top, 'renderer-secret'))
  await writeFile(join(top, 'secret.json'), 'secret')
  await writeFile(join(top, 'renderer-secret', 'secret.json'), 'secret')
  await writeFile(join(folder, 'index.html'), '<p>start</p>')
  await writeFile(join(folder, 'assets', 'app.js'), 'start()')
  await writeFile(join(folder, 'assets', 'notes.txt'), 'not served')
  await symlink(join(top, 'secret.json'), join(folder, 'link.json'))
  await symlink(top, join(folder, 'up'))
})

const text = async (path: string): Promise<string | undefined> => {
  const file = await readRendererFile(folder, path)
  return file === undefined ? undefined : new TextDecoder().decode(file.bytes)
}

test('pages and their parts are served with their types', async () => {
  expect(await text('/')).toBe('<p>start</p>')
  expect(await text('/assets/app.js')).toBe('start()')
  expect((await readRendererFile(folder, '/assets/app.js'))?.contentType).toBe(
    'text/javascript; charset=utf-8',
  )
})

// Row 18. Each path reaches a file that exists outside the folder if one check is missing.
test.each([
  '/../secret.json',
  '/assets/../../secret.json',
  '/%2e%2e/secret.json',
  '/..%2fsecret.json',
  '/assets/%2e%2e/%2e%2e/secret.json',
  '/%252e%252e/secret.json',
  '/..\\secret.json',
  '/..%5csecret.json',
  '/../renderer-secret/secret.json',
  '/link.json',
  '/up/secret.json',
  '/C:/secret.json',
  '//etc/hosts.json',
  '/index.html%00.json',
  '/%',
  '/assets',
  '/assets/notes.txt',
  '/assets/missing.js',
])('%s is not served', async (path) => {
  expect(await text(path)).toBeUndefined()
})

// The segments alone, because the comparison of real paths would hide a hole in them on this system.
test.each(['/..', '/a/../b', '/%2e%2e/a', '/./a', '/a\\b', '/a%5c..', '/C:/a', '/a%00', '/%zz'])(
  '%s has no segments',
  (path) => {
    expect(pathSegments(path)).toBeUndefined()
  },
)

test('the scheme has no privilege beyond what a page needs', () => {
  expect(APP_SCHEME_PRIVILEGES).toEqual({
    scheme: 'app',
    privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true },
  })
})

test.each([
  ['app://ui/', 'GET', 200],
  ['app://ui/assets/app.js', 'GET', 200],
  ['app://ui/', 'POST', 405],
  ['app://other/index.html', 'GET', 404],
  ['app://ui/%2e%2e/secret.json', 'GET', 404],
])('%s with %s gives %i and the security headers', async (url, method, status) => {
  const response = await answerAppRequest(folder, { url, method })
  expect(response.status).toBe(status)
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
})

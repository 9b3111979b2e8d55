import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '../..')
const json = async (path: string): Promise<unknown> => JSON.parse(await readFile(join(ROOT, path), 'utf8'))

/** Majors that Electron's project maintains beside the newest. */
const MAINTAINED_BEHIND = 2

interface Manifest {
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
  readonly scripts: Readonly<Record<string, string>>
}

// Row 16. The newest release is the one that the lock file's list of browsers knows, so the test needs no network and ages with the lock file.
test('Electron is pinned to one release of a maintained major', async () => {
  const { devDependencies } = (await json('package.json')) as Manifest
  expect(devDependencies['electron']).toMatch(/^\d+\.\d+\.\d+$/)
  const installed = (await json('node_modules/electron/package.json')) as Manifest
  expect(installed.version).toBe(devDependencies['electron'])
  const released = Object.keys((await json('node_modules/electron-to-chromium/full-versions.json')) as object)
  const newest = Math.max(...released.map((version) => Number(version.split('.')[0])))
  expect(newest - Number(installed.version.split('.')[0])).toBeLessThanOrEqual(MAINTAINED_BEHIND)
})

// Row 19. The binary itself is read in test/e2e/packaged.test.ts, where a package can be built.
test('every fuse is set, each to the safe side', async () => {
  const builder = parse(await readFile(join(ROOT, 'electron-builder.yml'), 'utf8')) as {
    electronFuses: unknown
    asar: unknown
  }
  expect(builder.electronFuses).toEqual({
    runAsNode: false,
    enableCookieEncryption: true,
    enableNodeOptionsEnvironmentVariable: false,
    enableNodeCliInspectArguments: false,
    enableEmbeddedAsarIntegrityValidation: true,
    onlyLoadAppFromAsar: true,
    loadBrowserProcessSpecificV8Snapshot: false,
    grantFileProtocolExtraPrivileges: false,
  })
  expect(builder.asar).toBe(true)
})

// Supply chain: what is installed is what was looked at, and none of it runs while it is installed.
test('versions are exact, and installing runs no script', async () => {
  const { devDependencies, dependencies } = (await json('package.json')) as Manifest & {
    dependencies: Record<string, string>
  }
  const loose = Object.entries({ ...devDependencies, ...dependencies }).filter(
    ([, range]) => !/^\d+\.\d+\.\d+$/.test(range),
  )
  expect(loose).toEqual([])
  expect(await readFile(join(ROOT, 'scripts/setup.mjs'), 'utf8')).toContain("'--ignore-scripts'")
})

import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { settingsFile } from '../../../../main/user-data/config-folder.ts'
import { UserData } from '../../../../main/user-data/user-data.ts'
import { errorOf } from '../../../tools/expect-error.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

let file = ''
beforeEach(async () => {
  file = join(await temporaryFolder(), 'new', 'settings.json')
})

const withTheme = (data: UserData, theme: 'dark' | 'light'): void => {
  data.update((stored) => ({ ...stored, preferences: { ...stored.preferences, theme } }))
}

test('what was set is there after a restart, readable by its owner only', async () => {
  withTheme(new UserData(file), 'dark')
  expect(new UserData(file).read().preferences.theme).toBe('dark')
  if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600)
})

// Catches a writer that keeps what it read at its start: window and browser use the same file.
test('two programs on one file keep what the other has set', () => {
  const [first, second] = [new UserData(file), new UserData(file)]
  withTheme(first, 'dark')
  second.update((data) => ({ ...data, outputFolder: '/exports' }))
  expect(first.read()).toMatchObject({ preferences: { theme: 'dark' }, outputFolder: '/exports' })
})

test('one wrong value costs only itself', async () => {
  await mkdir(join(file, '..'), { recursive: true })
  const entry = { entryId: 'l_1', kind: 'export', path: '/a', name: 'a', usedMs: 1 }
  const stored = {
    preferences: { theme: 'dark', workers: -1, device: 'abacus', numberLocale: 'de' },
    outputFolder: 7,
    calibrationSets: 'none',
    library: [entry, { ...entry, kind: 'poem' }, null],
    lastFolders: { checkpoint: '/models', attic: '/x' },
    fromANewerVersion: true,
  }
  await writeFile(file, JSON.stringify(stored))
  const read = new UserData(file).read()
  expect(read.preferences).toMatchObject({ theme: 'dark', numberLocale: 'de', workers: 0, device: 'auto' })
  expect(read.outputFolder).toBeUndefined()
  expect(read.calibrationSets).toEqual([])
  expect(read.library).toEqual([entry])
})

// A hand-edited file with a missing comma must not be overwritten by the next click on the theme button.
test('a file that is no JSON is kept aside', async () => {
  await mkdir(join(file, '..'), { recursive: true })
  await writeFile(file, '{"preferences": {"theme": "dark"')
  withTheme(new UserData(file), 'light')
  expect(await readFile(`${file}.damaged`, 'utf8')).toBe('{"preferences": {"theme": "dark"')
  expect(new UserData(file).read().preferences.theme).toBe('light')
})

test('a folder that cannot be written is an error with a remedy', async () => {
  const blocked = join(await temporaryFolder(), 'file')
  await writeFile(blocked, '')
  const data = new UserData(join(blocked, 'settings.json'))
  expect(await errorOf(() => withTheme(data, 'dark'))).toMatchObject({ code: 'WRITE_FAILED' })
})

test('without a file settings last as long as the process', () => {
  const data = new UserData()
  withTheme(data, 'dark')
  expect(data.read().preferences.theme).toBe('dark')
})

test('the browser mode finds the file where the desktop application keeps it', () => {
  const of = (platform: NodeJS.Platform, environment: Record<string, string>): string =>
    settingsFile({ platform, homeFolder: '/home/u', environment })
  expect(of('linux', {})).toBe(join('/home/u', '.config', 'Quantmill', 'settings.json'))
  expect(of('linux', { XDG_CONFIG_HOME: '/conf' })).toBe(join('/conf', 'Quantmill', 'settings.json'))
  expect(of('win32', { APPDATA: '/roaming' })).toBe(join('/roaming', 'Quantmill', 'settings.json'))
  expect(of('darwin', {})).toBe(
    join('/home/u', 'Library', 'Application Support', 'Quantmill', 'settings.json'),
  )
})

import { mkdir, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenDialogOptions } from 'electron'
import { expect, test } from 'vitest'
import { parseDesktopArguments } from '../../../../main/app/command-line.ts'
import { pickPath, type OpenDialog } from '../../../../main/app/dialogs.ts'
import { grantDropped } from '../../../../main/app/dropped-paths.ts'
import { PathGrants } from '../../../../main/security/path-grants.ts'
import { UserData } from '../../../../main/user-data/user-data.ts'
import type { PathGrant } from '../../../../shared/domain/app-info.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

test('folders of the command line become absolute; foreign switches pass by', () => {
  const argv = [
    'electron',
    '.',
    '--no-sandbox',
    '--exports-folder=out',
    '--data-folder=/data',
    '--exports-folder-x=1',
  ]
  expect(parseDesktopArguments(argv, '/start')).toEqual({ exportsFolder: '/start/out', dataFolder: '/data' })
  expect(parseDesktopArguments(['electron', '--exports-folder='], '/start')).toEqual({
    exportsFolder: undefined,
    dataFolder: undefined,
  })
})

async function drop(
  paths: (home: string) => unknown,
): Promise<{ granted: [string, string][]; refused: string[] }> {
  const home = await realpath(await temporaryFolder())
  await mkdir(join(home, 'model'))
  for (const name of ['data.jsonl', 'mine.yaml', 'picture.png']) await writeFile(join(home, name), '')
  const granted: PathGrant[] = []
  const refused: string[] = []
  await grantDropped(
    paths(home),
    new PathGrants({ homeFolder: home }),
    (event, payload) => {
      if (event === 'grant.dropped') granted.push(payload as PathGrant)
    },
    (error) => refused.push(error.code),
  )
  return { granted: granted.map(({ purpose, displayPath }) => [purpose, displayPath]), refused }
}

test('a dropped folder is a checkpoint, a dropped file what its ending says, anything else nothing', async () => {
  const names = ['model', 'data.jsonl', 'mine.yaml', 'picture.png', 'missing']
  expect(await drop((home) => names.map((name) => join(home, name)))).toEqual({
    granted: [
      ['checkpoint', '~/model'],
      ['calibration', '~/data.jsonl'],
      ['recipe', '~/mine.yaml'],
    ],
    refused: ['CHECKPOINT_NOT_FOUND', 'CHECKPOINT_NOT_FOUND'],
  })
})

test.each([
  ['no list', () => 'text'],
  ['other values', () => [1, null, '', {}]],
])('%s grants nothing', async (_what, paths) => {
  expect(await drop(paths)).toEqual({ granted: [], refused: [] })
})

test('of many paths only the first eight count', async () => {
  const { refused } = await drop(() => Array.from({ length: 100 }, () => '/missing'))
  expect(refused).toHaveLength(8)
})

const answer = (path: string | undefined, seen: OpenDialogOptions[] = []): OpenDialog => {
  return (options) => {
    seen.push(options)
    return Promise.resolve({ canceled: path === undefined, filePaths: path === undefined ? [] : [path] })
  }
}

test('a dialog begins where the last of its purpose ended, also after a restart', async () => {
  const file = join(await temporaryFolder(), 'settings.json')
  const seen: OpenDialogOptions[] = []
  await pickPath('checkpoint', new UserData(file), answer(join('/models', 'a'), seen))
  await pickPath('checkpoint', new UserData(file), answer(undefined, seen))
  await pickPath('checkpoint', new UserData(file), answer(undefined, seen))
  await pickPath('output', new UserData(file), answer(undefined, seen))
  expect(seen.map(({ defaultPath }) => defaultPath)).toEqual([undefined, '/models', '/models', undefined])
})

test('a path is taken although the folder cannot be remembered', async () => {
  const blocked = join(await temporaryFolder(), 'file')
  await writeFile(blocked, '')
  const userData = new UserData(join(blocked, 'settings.json'))
  expect(await pickPath('recipe', userData, answer('/r.yaml'))).toBe('/r.yaml')
})

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { onScreen, readWindowState, writeWindowState } from '../../../../main/app/window-state.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

const state = { width: 900, height: 700, x: 10, y: 20, isMaximized: true }
const standard = { width: 1280, height: 820, isMaximized: false }

test('what was written is read', async () => {
  const path = join(await temporaryFolder(), 'new', 'window.json')
  writeWindowState(path, state)
  expect(readWindowState(path)).toEqual(state)
})

test.each(['', '{', '[]', 'null', '{"width":1}', '{"width":1e9,"height":700,"isMaximized":false}'])(
  'a file with %s gives the default',
  async (text) => {
    const path = join(await temporaryFolder(), 'window.json')
    await writeFile(path, text)
    expect(readWindowState(path)).toEqual(standard)
  },
)

test('a missing file gives the default', () => {
  expect(readWindowState('/nowhere/window.json')).toEqual(standard)
})

// Catches a window that opens on a screen that was unplugged.
test('the place is forgotten when its screen is gone', () => {
  const screens = [{ x: 0, y: 0, width: 1920, height: 1080 }]
  expect(onScreen(state, screens)).toEqual(state)
  expect(onScreen({ ...state, x: 2500 }, screens)).toEqual({ width: 900, height: 700, isMaximized: true })
})

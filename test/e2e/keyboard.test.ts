/**
 * Without a pointer, in Electron and in the browser: the whole job, every view, and settings that are there after a restart. What Tab does not
 * reach, a palette that does not find, and a setting that only the page remembers fail here.
 */
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../tools/temporary-folder.ts'
import { accessibilityFaults } from './support/accessibility.ts'
import {
  announceSkip,
  chromiumPath,
  IS_ROOT,
  noBrowserReason,
  noWindowReason,
} from './support/environment.ts'
import {
  changeSettings,
  expectChangedSettings,
  runSampleByKeyboard,
  visitEveryView,
} from './support/keyboard-job.ts'
import { serve, type Served } from './support/server.ts'
import { openWindow, type Window } from './support/window.ts'

announceSkip('keyboard in the window', noWindowReason)
announceSkip('keyboard in the browser', noBrowserReason)

async function expectAccessible(page: Page): Promise<void> {
  await page.keyboard.press('Control+k')
  await page.getByTestId('command-palette').waitFor()
  expect(await accessibilityFaults(page), 'palette').toEqual([])
  await page.keyboard.press('Escape')
}

describe.skipIf(noWindowReason !== undefined)('the window by keyboard', () => {
  let window: Window
  let folder = ''
  beforeAll(async () => {
    folder = await temporaryFolder()
    window = await openWindow(folder)
  })
  afterAll(() => window.app.close())

  test('the whole job', () => runSampleByKeyboard(window.page))

  test('every view is reached and used', () => visitEveryView(window.page))

  test('the native menu sends its commands, with the keys of the list', async () => {
    const chosen = await window.app.evaluate(({ Menu }) => {
      const item = Menu.getApplicationMenu()?.getMenuItemById('go_settings')
      item?.click()
      return item?.accelerator
    })
    expect(chosen).toBe('CmdOrCtrl+,')
    await window.page.getByTestId('settings-view').waitFor()
  })

  test('settings are kept over a restart and used by new runs; the library is the first view', async () => {
    await changeSettings(window.page)
    await window.app.close()
    window = await openWindow(folder)
    await window.page.getByTestId('library-view').waitFor()
    await expectChangedSettings(window.page)
    expect(window.complaints).toEqual([])
  })
})

describe.skipIf(noBrowserReason !== undefined)('the browser by keyboard', () => {
  let served: Served
  let browser: Browser
  let page: Page
  beforeAll(async () => {
    served = await serve(['scripts/quantmill.mjs', 'serve'])
    browser = await chromium.launch({
      executablePath: chromiumPath ?? '',
      args: IS_ROOT ? ['--no-sandbox'] : [],
    })
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
    await page.goto(served.url)
  })
  afterAll(async () => {
    await browser.close()
    await served.stop()
  })

  test('the whole job', () => runSampleByKeyboard(page))

  test('every view is reached and used', () => visitEveryView(page))

  test.each(['light', 'dark'] as const)('the palette is accessible, %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    await expectAccessible(page)
  })

  // Another port and another session: nothing of the page's own storage is left.
  test('settings are kept over a restart and used by new runs; the library is the first view', async () => {
    await changeSettings(page)
    await served.stop()
    served = await serve(['scripts/quantmill.mjs', 'serve'], { HOME: served.homeFolder })
    await page.goto(served.url)
    await page.getByTestId('library-view').waitFor()
    await expectChangedSettings(page)
  })
})

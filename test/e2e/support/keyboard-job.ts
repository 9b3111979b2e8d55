/** The whole job and every view without a pointer; the same in Electron and in a browser. */
import type { Page } from 'playwright-core'
import { expect } from 'vitest'

/** Opens the palette, types what is sought and takes the first command. */
export async function byPalette(page: Page, words: string): Promise<void> {
  await page.keyboard.press('Control+k')
  await page.getByTestId('command-palette').waitFor()
  await page.keyboard.type(words)
  await page.keyboard.press('Enter')
  await page.getByTestId('command-palette').waitFor({ state: 'detached' })
}

/** Presses Tab until the element has the focus: fails for what the keyboard cannot reach. */
export async function tabTo(page: Page, testId: string): Promise<void> {
  const target = page.getByTestId(testId).first()
  for (let presses = 0; presses < 120; presses += 1) {
    if (await target.evaluate((element) => element.contains(document.activeElement))) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`${testId} is not reached by Tab`)
}

/** From the first view to the report of an export of the sample. */
export async function runSampleByKeyboard(page: Page): Promise<void> {
  await page.getByTestId('place-library').waitFor()
  await byPalette(page, 'open the sample')
  await page.getByTestId('next-recipe').waitFor()
  await page.keyboard.press('Control+Enter')
  await page.getByTestId('recipe-view').waitFor()
  await tabTo(page, 'recipe-filter')
  await page.keyboard.type('fp8_default-kv_fp8')
  await tabTo(page, 'recipe-fp8_default-kv_fp8')
  await page.keyboard.press('Space')
  await page.locator('[data-testid="start-run"]:not([aria-disabled])').waitFor()
  await tabTo(page, 'option-samples')
  await page.keyboard.press('Control+a')
  await page.keyboard.type('4')
  await tabTo(page, 'plan-tab-cost')
  await page.keyboard.press('ArrowRight')
  await page.getByTestId('scope-tree').waitFor()
  await page.locator('[data-testid="start-run"]:not([aria-disabled])').waitFor()
  await tabTo(page, 'start-run')
  await page.keyboard.press('Enter')
  await page.getByTestId('report-view').waitFor({ timeout: 120_000 })
}

/** Each view by its own key and by the palette, and something done in it. */
export async function visitEveryView(page: Page): Promise<void> {
  for (const [key, view] of [
    ['1', 'checkpoint'],
    ['2', 'recipe'],
    ['3', 'run'],
    ['4', 'report'],
    ['l', 'library'],
    ['c', 'compare'],
    ['Control+,', 'settings'],
  ] as const) {
    await page.keyboard.press(key)
    await page.getByTestId(`${view}-view`).waitFor()
  }
  for (const view of ['library', 'checkpoint', 'recipe', 'run', 'report', 'compare', 'settings']) {
    await byPalette(page, `go to ${view}`)
    await page.getByTestId(`${view}-view`).waitFor()
  }
  await page.keyboard.press('1')
  await tabTo(page, 'checkpoint-tab-overview')
  await page.keyboard.press('ArrowRight')
  await tabTo(page, 'tensor-filter')
  await page.keyboard.type('experts')
  await page.getByText('layers.3.mlp.experts').first().waitFor()
  await page.keyboard.press('Escape')
  await byPalette(page, 'go to run')
  await tabTo(page, 'log-level')
  await tabTo(page, 'heatmap')
  await byPalette(page, 'go to library')
  await page.getByTestId('open-entry').first().waitFor()
  await tabTo(page, 'library-filter')
  await page.keyboard.type('fp8_default')
  expect(await page.getByTestId('forget-entry').count()).toBe(1)
  await byPalette(page, 'shortcuts')
  await page.getByTestId('shortcuts-dialog').waitFor()
  await page.keyboard.press('Escape')
}

/** Changes two settings with the keyboard. */
export async function changeSettings(page: Page): Promise<void> {
  await page.keyboard.press('Control+,')
  await tabTo(page, 'setting-workers')
  await page.keyboard.press('Control+a')
  await page.keyboard.type('2')
  await tabTo(page, 'setting-theme-system')
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('ArrowRight')
  await tabTo(page, 'setting-locale-system')
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('ArrowRight')
  await page.waitForFunction(() => document.documentElement.dataset['theme'] === 'dark')
}

/** After a restart: what changeSettings has set, in the settings and in a new run. */
export async function expectChangedSettings(page: Page): Promise<void> {
  await page.waitForFunction(() => document.documentElement.dataset['theme'] === 'dark')
  await page.keyboard.press('Control+,')
  await page.getByTestId('settings-view').waitFor()
  expect(await page.getByTestId('setting-workers').inputValue()).toBe('2')
  expect(await page.getByTestId('setting-locale-de').isChecked()).toBe(true)
  await byPalette(page, 'open the sample')
  await page.getByTestId('next-recipe').click()
  await page.getByTestId('plan-output-bytes').waitFor()
  expect(await page.getByTestId('option-workers').inputValue()).toBe('2')
  expect(await page.getByTestId('plan-output-bytes').textContent()).toMatch(/^\d+,\d+ MiB$/)
}

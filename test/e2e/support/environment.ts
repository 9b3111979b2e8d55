/** What the window and browser tests need from outside, given by scripts/test.mjs, and the reason when it is not there. */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'

export const ROOT = join(import.meta.dirname, '../../..')
export const SCREENSHOTS = join(ROOT, 'test/output')
export const IS_ROOT = process.getuid?.() === 0

export const electronPath = process.env['QUANTMILL_ELECTRON']
export const chromiumPath = process.env['QUANTMILL_CHROMIUM']

const hasDisplay = process.platform !== 'linux' || (process.env['DISPLAY'] ?? '') !== ''

/** undefined = the window tests can run. */
export const noWindowReason =
  electronPath === undefined || !existsSync(electronPath)
    ? 'there is no Electron (QUANTMILL_ELECTRON)'
    : hasDisplay
      ? undefined
      : 'there is no display'

/** undefined = the browser tests can run. */
export const noBrowserReason =
  chromiumPath === undefined || !existsSync(chromiumPath)
    ? 'there is no Chromium (QUANTMILL_CHROMIUM)'
    : undefined

/** Printed once per file, so that a skip is never silent. */
export function announceSkip(what: string, reason: string | undefined): void {
  if (reason !== undefined) process.stderr.write(`skipping ${what}: ${reason}\n`)
}

export async function screenshot(page: Page, name: string): Promise<void> {
  await mkdir(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) })
}

/** axe-core against a page, in Electron and in the browser. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { ROOT } from './environment.ts'

const AXE = join(ROOT, 'node_modules/axe-core/axe.min.js')

/** Rule and element of everything that axe finds against WCAG 2 A and AA. */
export async function accessibilityFaults(page: Page): Promise<readonly string[]> {
  await page.evaluate(await readFile(AXE, 'utf8'))
  return page.evaluate(async () => {
    interface Axe {
      run: (
        context: Document,
        options: object,
      ) => Promise<{ passes: unknown[]; violations: { id: string; nodes: { target: unknown[] }[] }[] }>
    }
    const { axe } = globalThis as unknown as { axe: Axe }
    const { passes, violations } = await axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] })
    if (passes.length === 0) return ['nothing was checked']
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`))
  })
}

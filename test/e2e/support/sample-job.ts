/** The job as a user does it, by clicks on what the window shows; the same in Electron and in a browser. */
import type { Page } from 'playwright-core'
import { screenshot } from './environment.ts'

export const RECIPE = 'nvfp4_experts_only-kv_fp8'
export const EXPORT_NAME = `tiny-qwen3.5-moe-${RECIPE}`

/** Opens the sample and chooses the recipe; ends in the recipe view, ready to start. */
export async function prepareSample(page: Page): Promise<void> {
  await page.getByTestId('open-sample').click()
  await page.getByTestId('checkpoint-view').waitFor()
  await page.getByTestId('next-recipe').click()
  await page.getByTestId('recipe-view').waitFor()
  await page.getByTestId(`recipe-${RECIPE}`).click()
}

/**
 * From the first view to the result, with a screenshot of each; `shardGigabytes` only when the default is not wanted. Resolves the shown path
 * of the export.
 */
export async function runSample(page: Page, surface: string, shardGigabytes?: string): Promise<string> {
  await page.getByTestId('open-sample').click()
  await page.getByTestId('checkpoint-view').waitFor()
  await screenshot(page, `${surface}-1-checkpoint`)
  await page.getByTestId('next-recipe').click()
  await page.getByTestId('recipe-view').waitFor()
  await page.getByTestId(`recipe-${RECIPE}`).click()
  if (shardGigabytes !== undefined) await page.getByTestId('option-shard').fill(shardGigabytes)
  await screenshot(page, `${surface}-2-recipe`)
  await page.getByTestId('start-run').click()
  await page.getByTestId('run-view').waitFor()
  await page.getByTestId('heatmap').waitFor()
  await page.getByTestId('stage-calibrate').filter({ hasNotText: 'waiting' }).waitFor()
  await screenshot(page, `${surface}-3-run`)
  await page.getByTestId('report-view').waitFor({ timeout: 120_000 })
  await screenshot(page, `${surface}-4-report`)
  return (await page.getByTestId('report-path').textContent()) ?? ''
}

/** Starts a run that takes minutes if nobody stops it, or one of fewer samples; resolves once it calibrates. */
export async function startLongRun(page: Page, samples = 4000): Promise<void> {
  await prepareSample(page)
  await page.getByTestId('option-samples').fill(String(samples))
  await page.getByTestId('option-sequence').fill('512')
  await page.getByTestId('start-run').click()
  await page.getByTestId('run-view').waitFor()
  await page.waitForFunction(async () => {
    interface Api {
      request: (route: string, input: unknown) => Promise<{ value: readonly { state: { stage?: string } }[] }>
    }
    const { value } = await (globalThis as unknown as { quantmill: Api }).quantmill.request('job.list', {})
    return value.some(({ state }) => state.stage === 'calibrate')
  })
}

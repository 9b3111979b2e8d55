/** The job as a user does it, by clicks on what the window shows; the same in Electron and in a browser. */
import type { Page } from 'playwright-core'
import { screenshot } from './environment.ts'

export const RECIPE = 'nvfp4_experts_only-kv_fp8'
export const EXPORT_NAME = `tiny-qwen3.5-moe-${RECIPE}`

/** Opens the sample and chooses the recipe; ends in the recipe view, ready to start. */
export async function prepareSample(page: Page): Promise<void> {
  await page.getByTestId('open-sample').click()
  await page.getByTestId('checkpoint-view').waitFor()
  await page.getByTestId('to-recipe').click()
  await page.getByTestId('recipe-view').waitFor()
  await page.getByTestId(`recipe-${RECIPE}`).click()
}

/** From the first view to the result, with a screenshot of each. Resolves the shown path of the export. */
export async function runSample(page: Page, surface: string): Promise<string> {
  await page.getByTestId('open-sample').click()
  await page.getByTestId('checkpoint-view').waitFor()
  await screenshot(page, `${surface}-1-checkpoint`)
  await page.getByTestId('to-recipe').click()
  await page.getByTestId('recipe-view').waitFor()
  await page.getByTestId(`recipe-${RECIPE}`).click()
  await screenshot(page, `${surface}-2-recipe`)
  await page.getByTestId('start-run').click()
  await page.getByTestId('run-view').waitFor()
  await page.getByTestId('heatmap').waitFor()
  await screenshot(page, `${surface}-3-run`)
  await page.getByTestId('result-view').waitFor({ timeout: 120_000 })
  await screenshot(page, `${surface}-4-result`)
  return (await page.getByTestId('result-path').textContent()) ?? ''
}

/** A run that takes minutes if nobody stops it, started past the view; resolves its id once it calibrates. */
export async function startLongRun(page: Page): Promise<string> {
  return page.evaluate(
    async ([recipe, outputName]) => {
      interface Api {
        request: (route: string, input: unknown) => Promise<{ ok: boolean; value: never; error?: unknown }>
      }
      const { request } = (globalThis as unknown as { quantmill: Api }).quantmill
      const must = async (route: string, input: unknown): Promise<Record<string, unknown>> => {
        const reply = await request(route, input)
        if (!reply.ok) throw new Error(JSON.stringify(reply.error))
        return reply.value
      }
      const { grantId } = await must('grant.use_sample', {})
      const { jobId } = await must('job.start', {
        grantId,
        outputName,
        options: {
          recipe,
          dialect: 'modelopt',
          profile: 'hardened',
          maxShardSizeBytes: 10_000_000_000,
          samples: 4_000,
          sequenceLength: 512,
          device: 'cpu',
          workers: 2,
        },
      })
      for (;;) {
        const { state } = (await must('job.get', { jobId })) as { state: { kind: string; stage?: string } }
        if (state.kind === 'running' && state.stage === 'calibrate') return jobId as string
        if (state.kind !== 'queued' && state.kind !== 'running') throw new Error(JSON.stringify(state))
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    [RECIPE, EXPORT_NAME] as const,
  )
}

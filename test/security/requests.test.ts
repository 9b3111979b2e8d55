import { expect, test } from 'vitest'
import type { HandlerTable } from '../../main/ipc/handler-table.ts'
import { Router } from '../../main/ipc/router.ts'
import { isWithinInputBudget } from '../../main/ipc/input-budget.ts'
import { DEFAULT_RUN_OPTIONS } from '../../shared/domain/run-options.ts'
import type { AppError } from '../../shared/errors/app-error.ts'

const options = { ...DEFAULT_RUN_OPTIONS, recipe: 'nvfp4' }
const start = { grantId: 'g_12345678', options, outputName: 'out' }

function router(): { readonly router: Router; readonly reached: string[]; readonly logged: AppError[] } {
  const reached: string[] = []
  const logged: AppError[] = []
  const handlers = new Proxy({} as HandlerTable, {
    get: (_table, route) => () => {
      reached.push(String(route))
      return Promise.reject(new Error('broken inside'))
    },
  })
  return { router: new Router(handlers, (_route, error) => logged.push(error)), reached, logged }
}

// Row 20 and section 5.2. Nothing that is not exactly as described reaches a handler.
test.each([
  ['an unknown route', 'app.quit', {}],
  ['a route from the prototype', 'constructor', {}],
  ['a route that is no text', { toString: (): string => 'app.get_info' }, {}],
  ['no input', 'app.get_info', undefined],
  ['a key too many', 'app.get_info', { extra: 1 }],
  ['a path where a grant belongs', 'checkpoint.open', { grantId: '/etc' }],
  ['a grant id that is too long', 'checkpoint.open', { grantId: `g_${'a'.repeat(65)}` }],
  ['an unknown purpose', 'grant.pick', { purpose: 'anything' }],
  ['an output name with a separator', 'job.start', { ...start, outputName: 'a/b' }],
  ['an output name that goes up', 'job.start', { ...start, outputName: '..' }],
  ['a hidden output name', 'job.start', { ...start, outputName: '.ssh' }],
  ['an output name with a backslash', 'job.start', { ...start, outputName: 'a\\b' }],
  ['an output name with a line break', 'job.start', { ...start, outputName: 'a\n' }],
  ['an output path', 'job.start', { ...start, outputPath: '/elsewhere/x' }],
  ['too many workers', 'job.start', { ...start, options: { ...options, workers: 257 } }],
  ['a fraction of a worker', 'job.start', { ...start, options: { ...options, workers: 1.5 } }],
  ['a count that is no number', 'job.start', { ...start, options: { ...options, samples: Number.NaN } }],
  [
    'a recipe text that is too long',
    'plan.make',
    { grantId: 'g_12345678', options: { ...options, recipeText: 'x'.repeat(1_000_001) } },
  ],
  [
    'too many rows',
    'checkpoint.list_tensors',
    { grantId: 'g_12345678', filter: '', offset: 0, limit: 5_001 },
  ],
  [
    'a filter that is too long',
    'checkpoint.list_tensors',
    { grantId: 'g_12345678', filter: 'x'.repeat(257), offset: 0, limit: 1 },
  ],
])('%s is refused with a code', async (_what, route, input) => {
  const made = router()
  const reply = await made.router.handle(route, input)
  expect(reply).toMatchObject({ ok: false, error: { code: 'REQUEST_INVALID' } })
  expect(made.reached).toEqual([])
  expect(made.logged).toHaveLength(1)
})

test('a failure inside a handler is an INVARIANT without a stack for the page, with one for the log', async () => {
  const made = router()
  const reply = await made.router.handle('job.start', start)
  expect(made.reached).toEqual(['job.start'])
  expect(reply).toEqual({
    ok: false,
    error: {
      code: 'INVARIANT',
      kind: 'bug',
      subject: 'Quantmill',
      problem: 'unexpected failure: broken inside',
      remedy: 'report this with the job log',
    },
  })
  expect(made.logged[0]?.stack).toContain('broken inside')
})

test.each([
  ['deep nesting', JSON.parse(`${'['.repeat(50)}${']'.repeat(50)}`)],
  ['many values', Array.from({ length: 500 }, () => 0)],
  ['a huge text', 'x'.repeat(1_100_001)],
  ['huge keys', { ['x'.repeat(1_100_001)]: 1 }],
  ['binary data', new Uint8Array(8)],
  ['a map', new Map([['a', 1]])],
  ['a function', () => undefined],
])('%s is over the budget', (_what, input) => {
  expect(isWithinInputBudget(input)).toBe(false)
})

test('the largest legal input is within the budget', () => {
  expect(isWithinInputBudget({ ...start, options: { ...options, recipeText: 'x'.repeat(1_000_000) } })).toBe(
    true,
  )
})

/**
 * The list of removed defences stays complete: every row of docs/security.md has one, and each still fits the code that it changes and the test
 * that it names. That the tests do fail is shown by `npm run security-mutations`.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MUTATIONS } from './mutations/all.mjs'

const ROOT = join(import.meta.dirname, '../..')

/** First cells of the tables, numbers one by one; `server N` for the numbered list; a row for the part on hostile files. */
async function rows(): Promise<readonly string[]> {
  const text = await readFile(join(ROOT, 'docs/security.md'), 'utf8')
  const cells = [...text.matchAll(/^\| ([^|-]+?) +\|/gm)].map(([, cell = '']) => cell)
  const named = cells.filter((cell) => cell !== '#' && cell !== 'subject')
  const server = [...(text.split('## Browser server')[1] ?? '').matchAll(/^(\d)\. /gm)]
  return [
    ...named.flatMap((cell) => (/^[\d, ]+$/.test(cell) ? cell.split(', ') : [cell])),
    ...server.map(([, number = '']) => `server ${number}`),
    'hostile files',
  ]
}

test('every row has a defence that can be removed', async () => {
  const expected = await rows()
  expect(expected.length).toBeGreaterThan(30)
  expect([...new Set(MUTATIONS.map(({ row }) => row))].sort()).toEqual([...new Set(expected)].sort())
})

test.each(MUTATIONS)('$row: $removes', async ({ file, from, to, test: named }) => {
  expect((await readFile(join(ROOT, file), 'utf8')).split(from)).toHaveLength(2)
  expect(to).not.toBe(from)
  expect(existsSync(join(ROOT, named))).toBe(true)
  const document = await readFile(join(ROOT, 'docs/security.md'), 'utf8')
  expect(document).toContain(named.split('/').at(-1))
})

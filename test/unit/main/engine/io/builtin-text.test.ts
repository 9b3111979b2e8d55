import { expect, test } from 'vitest'
import { builtinDocuments } from '../../../../../main/engine/io/node/builtin-text.ts'

test('chapters and addresses alternate in a fixed order', async () => {
  const documents = await builtinDocuments(20_000)
  expect(documents[0]).toMatch(/^CHAPTER 1\. Loomings/)
  expect(documents[1]).toMatch(/Fellow|fellow/)
  expect(documents[2]).toMatch(/^CHAPTER 2\./)
  expect(await builtinDocuments(20_000)).toEqual(documents)
})

test('more tokens give more documents, and the first ones stay', async () => {
  const few = await builtinDocuments(1000)
  const many = await builtinDocuments(50_000)
  expect(many.slice(0, few.length)).toEqual(few)
  expect(many.length).toBeGreaterThan(few.length)
})

test('enough for 256 sequences of 2048 tokens, and no document twice', async () => {
  const all = await builtinDocuments(100_000_000)
  expect(new Set(all).size).toBe(all.length)
  // Every chapter (135) and every address (233).
  expect(all).toHaveLength(368)
  expect(all.reduce((sum, text) => sum + text.length, 0)).toBeGreaterThan(256 * 2048 * 6)
})

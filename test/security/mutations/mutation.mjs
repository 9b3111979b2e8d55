/**
 * Every defence of docs/security.md, taken away one at a time: what is changed, and the test that must then fail. `npm run security-mutations`
 * does it in a copy of the tree; `test/security/mutations.test.ts` keeps the list complete and up to date.
 *
 * @typedef {{ row: string, removes: string, file: string, from: string, to: string, test: string }} Mutation
 *   `row` of the document, a part of it; `from` occurs exactly once in `file`.
 */

/**
 * Mutations of one file that one test file, below `test`, is to notice.
 *
 * @param {string} file
 * @param {string} test
 * @param {readonly (readonly [row: string, removes: string, from: string, to: string])[]} mutations
 * @returns {Mutation[]}
 */
export function of(file, test, mutations) {
  return mutations.map(([row, removes, from, to]) => ({ row, removes, file, from, to, test: `test/${test}` }))
}

/** Set-up of every test file. */
import { afterAll } from 'vitest'
import { ownTemporaryFolder } from './temporary-folder.ts'

const folder = ownTemporaryFolder()
// Registered before any hook of the file, so it runs after all of them, failed or not.
afterAll(() => {
  const left = folder.remove()
  if (left.length > 0) throw new Error(`left in the temporary folder: ${left.join(', ')}`)
})

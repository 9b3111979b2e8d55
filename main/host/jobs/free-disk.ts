import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Free bytes of the file system that will hold `path` (or its deepest existing ancestor); undefined when the system does not say. */
export async function freeDiskBytes(path: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  } catch {
    const parent = dirname(path)
    return parent === path ? undefined : freeDiskBytes(parent)
  }
}

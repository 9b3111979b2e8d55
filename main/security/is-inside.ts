import { isAbsolute, relative, sep } from 'node:path'

/** True when `path` is `folder` or below it; both must be real paths. */
export function isInside(path: string, folder: string): boolean {
  const step = relative(folder, path)
  return step !== '..' && !step.startsWith(`..${sep}`) && !isAbsolute(step)
}

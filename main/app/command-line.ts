/** The few arguments that the desktop application takes. Chromium's own switches pass by unread. */
import { isAbsolute, resolve } from 'node:path'

export interface DesktopArguments {
  /** Absolute; undefined when not given. */
  readonly exportsFolder: string | undefined
  /** Absolute folder for settings and logs instead of the system's; undefined when not given. */
  readonly dataFolder: string | undefined
}

export function parseDesktopArguments(argv: readonly string[], workingFolder: string): DesktopArguments {
  const folder = (name: string): string | undefined => {
    const prefix = `--${name}=`
    const value = argv.findLast((argument) => argument.startsWith(prefix))?.slice(prefix.length)
    if (value === undefined || value === '') return undefined
    return isAbsolute(value) ? value : resolve(workingFolder, value)
  }
  return { exportsFolder: folder('exports-folder'), dataFolder: folder('data-folder') }
}

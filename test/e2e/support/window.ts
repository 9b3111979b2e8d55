/** Starts the built application in Electron, with folders of its own for settings and exports. */
import { join } from 'node:path'
import { _electron, type ElectronApplication, type Page } from 'playwright-core'
import { temporaryFolder } from '../../tools/temporary-folder.ts'
import { electronPath, IS_ROOT, ROOT } from './environment.ts'

export interface Window {
  readonly app: ElectronApplication
  readonly page: Page
  readonly exportsFolder: string
  readonly pid: number
  /** Messages on the page's console of kind error or warning, and uncaught errors. */
  readonly complaints: readonly string[]
}

/** `folder` holds settings and exports: the one of an earlier window for a restart, a new one by default. */
export async function openWindow(given?: string): Promise<Window> {
  const folder = given ?? (await temporaryFolder())
  const exportsFolder = join(folder, 'exports')
  const app = await _electron.launch({
    executablePath: electronPath ?? '',
    args: [
      ...(IS_ROOT ? ['--no-sandbox'] : []),
      ROOT,
      `--exports-folder=${exportsFolder}`,
      `--data-folder=${join(folder, 'data')}`,
    ],
    env: { ...definedEnvironment(), HOME: folder },
    timeout: 60_000,
  })
  const page = await app.firstWindow()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.waitForLoadState('domcontentloaded')
  return { app, page, exportsFolder, pid: app.process().pid ?? 0, complaints }
}

function definedEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env)
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}

/** True while a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Process of the engine host; 0 when none runs. */
export function hostPidOf({ app }: Pick<Window, 'app'>): Promise<number> {
  return app.evaluate(
    ({ app: main }) => main.getAppMetrics().find(({ name }) => name === 'Quantmill engine host')?.pid ?? 0,
  )
}

import { readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

async function filesThatContain(pattern: RegExp, folders: readonly string[]): Promise<readonly string[]> {
  const found: string[] = []
  for (const folder of folders) {
    const names = await readdir(join(ROOT, folder), { recursive: true }).catch(() => [])
    for (const name of names.filter((text) => /\.(ts|vue)$/.test(text))) {
      const text = await readFile(join(ROOT, folder, name), 'utf8')
      // A mention in a comment is no use.
      const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
      if (pattern.test(code)) found.push(`${folder}/${name.split(sep).join('/')}`)
    }
  }
  return found.sort()
}

const EVERYWHERE = ['main', 'renderer', 'shared']

// Rows 2, 12, 14, 15, 17, 20. Each authority has one owner, where the checks are; a second user would bypass them.
test.each([
  ['windows are created', /new (BrowserWindow|BaseWindow|WebContentsView)\b/, ['main/app/windows.ts']],
  ['messages from pages are received', /\bipcMain\b/, ['main/app/requests.ts']],
  ['messages to main are sent', /\bipcRenderer\b/, ['main/preload/index.ts']],
  ['something is exposed to the page', /\bcontextBridge\b/, ['main/preload/index.ts']],
  ['other programs are opened', /\bopenExternal\(|\bopenPath\(/, []],
  ['HTML is made from text', /v-html|innerHTML|outerHTML|insertAdjacentHTML|document\.write/, []],
  ['text is run as code', /\beval\(|new Function\(/, []],
  ['something listens on the network', /\bcreateServer\(/, ['main/serve/start-server.ts']],
  ['processes are started', /from 'node:child_process'/, []],
  ['the engine host is started', /utilityProcess\.fork\(/, ['main/app/host-process.ts']],
  ['the object of the preload script is used', /\bwindow\.quantmill\b/, ['renderer/src/bridge/api.ts']],
] as const)('where %s', async (_what, pattern, owners) => {
  expect(await filesThatContain(pattern, EVERYWHERE)).toEqual(owners)
})

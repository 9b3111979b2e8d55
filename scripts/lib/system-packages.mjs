// What the window tests need from the operating system. On Debian and its relatives, as root, missing packages are installed; elsewhere they
// are named, and the tests that need them say why they skip.
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { run } from './processes.mjs'

const BROWSER_NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** Libraries that Electron links to; Debian 13 and Ubuntu 24.04 renamed some (t64). */
const ELECTRON_PACKAGES = [
  ['libgtk-3-0', 'libgtk-3-0t64'],
  ['libnss3'],
  ['libasound2', 'libasound2t64'],
  ['libatk-bridge2.0-0', 'libatk-bridge2.0-0t64'],
  ['libatspi2.0-0', 'libatspi2.0-0t64'],
  ['libcups2', 'libcups2t64'],
  ['libgbm1'],
  ['libdrm2'],
  ['libxcomposite1'],
  ['libxdamage1'],
  ['libxkbcommon0'],
]

/** First of the names that is an executable in PATH; undefined when none is. */
export function findProgram(...names) {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path))
}

export function findBrowser() {
  return process.env.QUANTMILL_CHROMIUM ?? findProgram(...BROWSER_NAMES)
}

/** Libraries that the dynamic loader does not find for `executable`. */
export async function missingLibraries(executable) {
  const { output } = await run('ldd', [executable])
  return [...output.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1])
}

async function hasVulkanLoader() {
  const { code, output } = await run(findProgram('ldconfig') ?? '/sbin/ldconfig', ['-p'])
  return code !== 0 || output.includes('libvulkan.so.1')
}

/** Installs what is missing where that is possible. Resolves one sentence per thing that is still missing. */
export async function ensureSystemPackages(electron, { note = () => undefined } = {}) {
  if (process.platform !== 'linux') return []
  const wanted = await missingPackages(electron)
  if (wanted.length > 0 && canInstall()) await install(wanted, note)
  return (await missingPackages(electron)).map(([name]) => `the system package ${name} is missing`)
}

async function missingPackages(electron) {
  const wanted = []
  if (findProgram('Xvfb') === undefined) wanted.push(['xvfb'])
  if (findBrowser() === undefined) wanted.push(['chromium', 'chromium-browser'])
  if (!(await hasVulkanLoader())) wanted.push(['libvulkan1'])
  if (electron !== undefined && (await missingLibraries(electron)).length > 0)
    wanted.push(...ELECTRON_PACKAGES)
  return wanted
}

function canInstall() {
  return process.getuid?.() === 0 && findProgram('apt-get') !== undefined
}

async function install(wanted, note) {
  note(`installing system packages: ${wanted.map(([name]) => name).join(', ')} ...\n`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-qq'], { env, timeoutMs: 120_000 })
  const names = []
  for (const alternatives of wanted) names.push(await firstAvailable(alternatives))
  const { code, output } = await run(
    'apt-get',
    ['install', '-y', '-qq', '--no-install-recommends', ...names],
    {
      env,
      timeoutMs: 300_000,
    },
  )
  if (code !== 0) note(`apt-get could not install them:\n${output.split('\n').slice(-5).join('\n')}\n`)
}

async function firstAvailable(alternatives) {
  for (const name of alternatives) {
    const { code, output } = await run('apt-cache', ['policy', name])
    if (code === 0 && /Candidate: [^(]/.test(output)) return name
  }
  return alternatives[0]
}

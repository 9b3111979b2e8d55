/**
 * The packaged application does the whole job: files that the package lacks, libraries inside the archive and paths that only exist in a
 * clone fail here. Its fuses are read from the binary. A fuse keeps Node's inspector off, so the window is driven over Chromium's own port.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { FuseV1Options, getCurrentFuseWire } from '@electron/fuses'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { archiveFiles } from '../../scripts/lib/package-sizes.mjs'
import { temporaryFolder } from '../tools/temporary-folder.ts'
import { checkSampleExport } from './support/check-export.ts'
import { announceSkip, electronPath, IS_ROOT, noWindowReason, ROOT } from './support/environment.ts'
import { EXPORT_NAME, runSample } from './support/sample-job.ts'

const reason = process.platform === 'linux' ? noWindowReason : 'only the Linux package is built here'
announceSkip('the package', reason)

const ON = 0x31
const OFF = 0x30

describe.skipIf(reason !== undefined)('the package for Linux', () => {
  let folder: string
  let unpacked: string
  let program: string
  let application: ChildProcess | undefined

  beforeAll(async () => {
    folder = await temporaryFolder()
    await build(folder)
    const archive = (await readdir(folder)).find((name) => name.endsWith('.tar.gz')) ?? ''
    await promisify(execFile)('tar', ['-xzf', join(folder, archive), '-C', folder])
    // What is started is what the archive holds, under the name that it gives.
    unpacked = join(folder, archive.replace('.tar.gz', ''))
    program = join(unpacked, 'quantmill')
  }, 240_000)
  afterAll(async () => {
    if (application?.exitCode === null && application.kill()) await once(application, 'exit')
  })

  test('its fuses are those of the configuration', async () => {
    expect(await getCurrentFuseWire(program)).toMatchObject({
      [FuseV1Options.RunAsNode]: OFF,
      [FuseV1Options.EnableCookieEncryption]: ON,
      [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: OFF,
      [FuseV1Options.EnableNodeCliInspectArguments]: OFF,
      [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: ON,
      [FuseV1Options.OnlyLoadAppFromAsar]: ON,
      [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: OFF,
      [FuseV1Options.GrantFileProtocolExtraPrivileges]: OFF,
    })
  })

  test('it carries the runtime of this platform only', () => {
    const runtime = join(unpacked, 'resources/app.asar.unpacked/node_modules/onnxruntime-node/bin/napi-v6')
    expect(readdirSync(runtime)).toStrictEqual(['linux'])
    expect(readdirSync(join(runtime, 'linux'))).toStrictEqual([process.arch])
  })

  test('native libraries are outside the archive, benchmarks nowhere', () => {
    const files = archiveFiles(join(unpacked, 'resources/app.asar'))
    const isNative = (path: string): boolean => /\.(?:node|so|dll|dylib)(?:\.\d+)*$/.test(path)
    const native = files.filter(({ path }) => isNative(path))
    expect(native.length).toBeGreaterThan(0)
    expect(native.filter(({ isUnpacked }) => !isUnpacked)).toStrictEqual([])
    expect(files.filter(({ path }) => path.includes('bench'))).toStrictEqual([])
  })

  test('every third-party package in it has its licence, in the file beside the program', () => {
    const notice = readFileSync(join(unpacked, 'THIRD-PARTY-LICENSES.txt'), 'utf8')
    const packages = archiveFiles(join(unpacked, 'resources/app.asar'))
      .map(({ path }) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
      .filter((name) => name !== undefined)
    expect(packages).toContain('onnxruntime-node')
    for (const name of new Set(packages)) expect(notice).toMatch(new RegExp(`^${name} \\d`, 'm'))
    expect(existsSync(join(unpacked, 'LICENSE.electron.txt'))).toBe(true)
    expect(existsSync(join(unpacked, 'LICENSES.chromium.html'))).toBe(true)
  })

  test('from the sample to a finished export', async () => {
    const exportsFolder = join(folder, 'exports')
    const switches = IS_ROOT ? ['--no-sandbox'] : []
    application = spawn(
      program,
      [
        ...switches,
        '--remote-debugging-port=0',
        `--exports-folder=${exportsFolder}`,
        `--data-folder=${join(folder, 'data')}`,
      ],
      { env: { ...process.env, HOME: folder }, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    const address = await debuggingAddress(application)
    await windowListed(address)
    const browser = await chromium.connectOverCDP(address)
    try {
      const context = browser.contexts()[0]
      const page = context?.pages()[0] ?? (await context?.waitForEvent('page'))
      expect(page).toBeDefined()
      if (page === undefined) return
      await page.waitForLoadState('domcontentloaded')
      expect(await runSample(page, 'package')).toContain(EXPORT_NAME)
      await checkSampleExport(join(exportsFolder, EXPORT_NAME))
      await page.getByTestId('place-settings').click()
      await page.getByTestId('show-licences').click()
      const licence = page.getByTestId('licence').filter({ hasText: 'onnxruntime-node' })
      await licence.locator('summary').click()
      await licence.getByText('protocolbuffers/protobuf').waitFor()
    } finally {
      await browser.close()
    }
  }, 180_000)
})

/** The folder and its tar.gz, with the Electron that the other tests use; nothing is downloaded. */
async function build(output: string): Promise<void> {
  const script = join(ROOT, 'scripts', 'package.mjs')
  const options = ['--dir', '--tar', '--electron-dist', dirname(electronPath ?? ''), '--output', output]
  const building = spawn(process.execPath, [script, ...options], {
    cwd: ROOT,
    stdio: 'pipe',
    // A quick compression is enough here.
    env: { ...process.env, GZIP: '-1' },
  })
  let said = ''
  building.stdout.on('data', (text: Buffer) => (said += text.toString()))
  building.stderr.on('data', (text: Buffer) => (said += text.toString()))
  const [code] = (await once(building, 'exit')) as [number]
  expect(code, said.slice(-2000)).toBe(0)
}

/** What Chromium says on standard error once its port is open. */
async function debuggingAddress({ stderr }: ChildProcess): Promise<string> {
  if (stderr === null) throw new Error('the application has no standard error')
  for await (const line of createInterface(stderr)) {
    const address = /DevTools listening on (ws:\S+)/.exec(line)?.[1]
    if (address !== undefined) {
      stderr.resume()
      return address
    }
  }
  throw new Error('the application ended before its window could be reached')
}

/** Resolves when the window has a page with a title: a connection made while it opens may wait for a target that is gone. */
async function windowListed(address: string): Promise<void> {
  const list = `http://${new URL(address).host}/json/list`
  for (let attempt = 0; attempt < 120; attempt += 1) {
    const targets = (await (await fetch(list)).json()) as readonly { type: string; title: string }[]
    if (targets.some(({ type, title }) => type === 'page' && title === 'Quantmill')) return
    await setTimeout(250)
  }
  throw new Error('the window did not open')
}

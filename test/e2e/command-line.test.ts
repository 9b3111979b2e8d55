/**
 * The command line as the README writes it, through npm and from another folder: npm's own words, the set-up's messages or a wrong working
 * directory would show in standard output, in the exit code or in the path that is opened.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../tools/temporary-folder.ts'
import { ROOT } from './support/environment.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function start(
  command: string,
  args: readonly string[],
  cwd: string,
): { ended: Promise<Ended>; interrupt: () => void } {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: userEnvironment() })
  const ended = new Promise<Ended>((resolve) => {
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('close', (code) => {
      resolve({ code, stdout, stderr })
    })
  })
  return { ended, interrupt: () => child.kill('SIGINT') }
}

/** Without what the npm that runs the tests has set. */
function userEnvironment(): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(([name]) => !/^npm_|^INIT_CWD$/i.test(name))
  return Object.fromEntries(kept)
}

const npm = (args: readonly string[], cwd: string): Promise<Ended> =>
  start('npm', ['run', '--silent', 'quantmill', '--', ...args], cwd).ended

test('a relative path means the folder the user is in, and standard output is the result alone', async () => {
  const { code, stdout } = await npm(['inspect', 'tiny-qwen3.5-moe', '--json'], join(ROOT, 'assets/sample'))
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ name: 'tiny-qwen3.5-moe' })
})

test('exit code and one line of error pass through npm', async () => {
  const { code, stdout, stderr } = await npm(['inspect', 'nowhere'], join(ROOT, 'assets'))
  expect(code).toBe(2)
  expect(stdout).toBe('')
  expect(stderr.trim().split('\n')).toEqual([expect.stringContaining('CHECKPOINT_NOT_FOUND')])
})

test('Ctrl+C cancels with code 130 and publishes nothing', async () => {
  const folder = await temporaryFolder()
  const out = join(folder, 'out')
  const args = ['run', 'assets/sample/tiny-qwen3.5-moe', '--recipe', 'nvfp4_default-kv_fp8', '--out', out]
  const { ended, interrupt } = start(
    process.execPath,
    ['scripts/quantmill.mjs', ...args, '--samples', '4000', '--device', 'cpu'],
    ROOT,
  )
  while (!existsSync(`${out}.partial`)) await new Promise((resolve) => setTimeout(resolve, 50))
  interrupt()
  const { code, stdout, stderr } = await ended
  expect(code).toBe(130)
  expect(stdout).toBe('')
  expect(stderr).toContain('CANCELLED')
  expect(existsSync(out)).toBe(false)
})

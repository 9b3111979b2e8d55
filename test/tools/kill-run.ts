/** Starts a run in a process of its own and kills it after a while, as a power cut would; or lets it end. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'

const CLI = join(import.meta.dirname, '../../out/main/cli.js')

export type RunEnd =
  | { readonly kind: 'killed' }
  | { readonly kind: 'ended'; readonly exitCode: number | null; readonly stderr: string }

/** `afterMs` undefined = never killed. A run that neither ends nor dies within `limitMs` is a hang and rejects. */
export function runAndKill(
  argv: readonly string[],
  afterMs: number | undefined,
  limitMs = 60_000,
): Promise<RunEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    let isKilled = false
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const kill = setTimeout(
      () => {
        isKilled = child.kill('SIGKILL')
      },
      afterMs ?? limitMs * 2,
    )
    const hang = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`hung: ${argv.join(' ')}\n${stderr}`))
    }, limitMs)
    child.on('error', reject)
    child.on('close', (exitCode) => {
      clearTimeout(kill)
      clearTimeout(hang)
      resolve(isKilled && exitCode === null ? { kind: 'killed' } : { kind: 'ended', exitCode, stderr })
    })
  })
}

/** Starts something that prints the address of the browser interface, and ends it as Ctrl+C would. */
import { spawn } from 'node:child_process'
import { temporaryFolder } from '../../tools/temporary-folder.ts'
import { ROOT } from './environment.ts'

export interface Served {
  readonly url: string
  /** Everything printed so far, both streams. */
  readonly output: () => string
  readonly homeFolder: string
  /** Sends SIGINT; resolves the exit code (null when a signal ended the process). */
  stop(): Promise<number | null>
}

const URL_LINE = /http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+/

/** Runs `node <script> ...` from the repository's root. Rejects when it ends without having printed an address. */
export async function serve(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<Served> {
  const homeFolder = env['HOME'] ?? (await temporaryFolder())
  const child = spawn(process.execPath, [...argv], {
    cwd: ROOT,
    env: {
      ...process.env,
      HOME: homeFolder,
      XDG_CONFIG_HOME: undefined,
      DISPLAY: undefined,
      WAYLAND_DISPLAY: undefined,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString()
      const found = URL_LINE.exec(output)
      if (found !== null) resolve(found[0])
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('close', () => reject(new Error(`it ended without an address:\n${output}`)))
  })
  return {
    url,
    output: () => output,
    homeFolder,
    stop: () => {
      child.kill('SIGINT')
      return exited
    },
  }
}

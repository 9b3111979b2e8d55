// Child processes of the scripts: where the repository is, how npm is called, and output that is either passed on or kept.
import { spawn } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Command and arguments of the npm that started us, else the one in PATH. */
export function npmCommand(args) {
  const script = process.env.npm_execpath
  if (script !== undefined && /npm-cli\.c?js$/.test(script)) return [process.execPath, [script, ...args]]
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm', args]
}

/**
 * Runs to the end. Standard input is closed. `onOutput` gets every chunk of both streams; without it output is only kept. What `yields`
 * gives way to other processes when there are too few cores.
 * Resolves { code, output }; a process ended by a signal has code 129, one that cannot start 127.
 */
export function run(
  command,
  args,
  { env = {}, cwd = root, onOutput = () => undefined, timeoutMs = 0, yields = false } = {},
) {
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(command, args, {
      cwd,
      env: withoutEmpty({ ...process.env, ...env }),
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: command.endsWith('.cmd'),
    })
    if (yields) lowerPriority(child.pid)
    const keep = (chunk) => {
      const text = chunk.toString()
      output += text
      onOutput(text)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const timer = timeoutMs === 0 ? undefined : setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    child.on('error', (error) => {
      clearTimeout(timer)
      resolve({ code: 127, output: `${output}${error.message}\n` })
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code: code ?? 129, output: signal === null ? output : `${output}ended by ${signal}\n` })
    })
  })
}

/** Of a process and those that it starts later. One that has ended already, or a system that refuses, changes nothing. */
function lowerPriority(pid) {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    return
  }
}

/** A variable set to undefined is removed from the child's environment. */
function withoutEmpty(env) {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined))
}

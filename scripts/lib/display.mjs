// A display: the user's, or a virtual one for tests.
import { spawn } from 'node:child_process'
import { findProgram } from './system-packages.mjs'

/** True when a window can be expected to open. Whether a server answers there is for Electron to find out; it ends at once if none does. */
export function hasDisplay({ DISPLAY = '', WAYLAND_DISPLAY = '' } = process.env) {
  return process.platform !== 'linux' || DISPLAY !== '' || WAYLAND_DISPLAY !== ''
}

/** Starts Xvfb on a free display number. Resolves { display, stop }; rejects with the reason. */
export function startVirtualDisplay(size = '1600x1000') {
  const program = findProgram('Xvfb')
  if (program === undefined) return Promise.reject(new Error('Xvfb is not installed'))
  return new Promise((resolve, reject) => {
    const args = ['-displayfd', '3', '-screen', '0', `${size}x24`, '-nolisten', 'tcp']
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] })
    let errors = ''
    child.stderr.on('data', (chunk) => (errors += chunk.toString()))
    child.on('error', reject)
    child.on('exit', (code) => reject(new Error(`Xvfb ended with ${code}: ${errors.trim()}`)))
    child.stdio[3].on('data', (chunk) => {
      const number = chunk.toString().trim()
      if (number !== '') resolve({ display: `:${number}`, stop: () => child.kill() })
    })
  })
}

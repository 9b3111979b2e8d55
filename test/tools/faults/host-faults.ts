/**
 * The file layer of this process with one call that goes wrong: everything that changes files below a folder is counted, and the call of a
 * given number fails as a disk would let it fail, writes less than asked, or is the last thing the process comes to. Lies directly on Node's
 * modules, so that no code path can pass it by. Imports nothing but those, since it is also loaded into processes of their own.
 */
import fs from 'node:fs'
import fsp, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'

export type FaultKind = 'ENOSPC' | 'EIO' | 'EACCES' | 'short' | 'kill'

export interface HostFault {
  /** Calls on files below this folder count. */
  readonly folder: string
  /** Number of the call, from 0; or the first removal of a file of this name. */
  readonly at: number | { readonly removalOf: string }
  readonly kind: FaultKind
}

export interface InstalledFaults {
  /** Names of the calls so far, in order. */
  readonly calls: readonly string[]
  /** Puts Node's own functions back. */
  remove(): void
}

export function failure(code: string, call: string): Error {
  return Object.assign(new Error(`${code}: injected, ${call}`), { code, syscall: call })
}

function opensForWriting(flags: string | number | undefined): boolean {
  if (typeof flags === 'number') return (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0
  return flags !== undefined && flags !== 'r'
}

const PATH_CALLS = ['mkdir', 'rm', 'rename', 'copyFile', 'writeFile', 'truncate'] as const
const HANDLE_CALLS = ['truncate', 'appendFile', 'sync', 'datasync', 'chmod'] as const
type Call = (...args: never[]) => Promise<unknown>

/** One at a time; remove it before the next. */
export function installHostFault({ folder, at, kind }: HostFault): InstalledFaults {
  const calls: string[] = []
  let hasHappened = false
  const descriptors = new Set<number>()
  const original = { ...fsp, writeSync: fs.writeSync }
  /** True when this call is to write less; throws when it is to fail. */
  const count = (call: string, path?: unknown): boolean => {
    calls.push(call)
    const isHere =
      typeof at === 'number'
        ? calls.length - 1 === at
        : call === 'rm' && typeof path === 'string' && basename(path) === at.removalOf
    if (!isHere || hasHappened) return false
    hasHappened = true
    if (kind === 'short') return true
    if (kind === 'kill') process.kill(process.pid, 'SIGKILL')
    throw failure(kind, call)
  }
  const isBelow = (path: unknown): boolean => typeof path === 'string' && path.startsWith(folder)

  const watch = (handle: FileHandle): FileHandle => {
    descriptors.add(handle.fd)
    for (const name of HANDLE_CALLS) {
      const real = (handle[name] as Call).bind(handle)
      Object.defineProperty(handle, name, {
        value: async (...args: never[]) => {
          count(name)
          return real(...args)
        },
      })
    }
    return handle
  }

  fsp.open = async (...args: Parameters<typeof fsp.open>) => {
    if (!isBelow(args[0])) return original.open(...args)
    if (opensForWriting(args[1])) count('open')
    return watch(await original.open(...args))
  }
  for (const name of PATH_CALLS) {
    const real = original[name] as Call
    const replacement = async (...args: never[]): Promise<unknown> => {
      if (args.some(isBelow)) count(name, args[0])
      return real(...args)
    }
    Object.assign(fsp, { [name]: replacement })
  }
  const writeSync = ((
    descriptor: number,
    bytes: Uint8Array,
    from: number,
    length: number,
    position: number,
  ) => {
    const isShort = descriptors.has(descriptor) && count('writeSync')
    const part = isShort ? Math.max(1, Math.floor(length / 2)) : length
    return original.writeSync(descriptor, bytes, from, part, position)
  }) as typeof fs.writeSync
  fs.writeSync = writeSync
  syncBuiltinESMExports()
  return {
    calls,
    remove: () => {
      const { writeSync: realWriteSync, ...promises } = original
      Object.assign(fsp, promises)
      fs.writeSync = realWriteSync
      syncBuiltinESMExports()
    },
  }
}

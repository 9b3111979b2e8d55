/**
 * Which paths the renderer may use, and for what. The renderer holds random ids only; a path enters here through a dialog, a drop, the sample
 * button or the folder list, never as text it typed. Used by the Electron window and by the browser server.
 */
import { randomBytes } from 'node:crypto'
import { access, constants, realpath, stat } from 'node:fs/promises'
import { basename, sep } from 'node:path'
import type { GrantId, GrantPurpose, PathGrant } from '../../shared/domain/app-info.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import type { ErrorCode } from '../../shared/errors/codes.ts'

interface PurposeRule {
  readonly kind: 'folder' | 'file'
  readonly right: 'read' | 'write'
  readonly code: ErrorCode
  readonly remedy: string
}

const PURPOSES: Readonly<Record<GrantPurpose, PurposeRule>> = {
  checkpoint: {
    kind: 'folder',
    right: 'read',
    code: 'CHECKPOINT_NOT_FOUND',
    remedy: 'choose the folder that holds config.json and the .safetensors files',
  },
  output: { kind: 'folder', right: 'write', code: 'WRITE_FAILED', remedy: 'choose an existing folder' },
  calibration: {
    kind: 'file',
    right: 'read',
    code: 'CALIBRATION_DATA_INVALID',
    remedy: 'choose a .txt, .jsonl or .safetensors file',
  },
  recipe: { kind: 'file', right: 'read', code: 'RECIPE_INVALID', remedy: 'choose a recipe file' },
}

interface StoredGrant {
  readonly grant: PathGrant
  readonly realPath: string
}

/** More grants than any session of a person makes; the oldest is dropped first (CWE-770). */
const MAX_GRANTS = 1_000

export class PathGrants {
  readonly #homeFolder: string
  readonly #stored = new Map<string, StoredGrant>()

  constructor(options: { readonly homeFolder: string }) {
    this.#homeFolder = options.homeFolder
  }

  /**
   * Grants a path for one purpose: links are resolved now, so later changes of a link cannot redirect the grant. The same path and purpose
   * give the same grant. Throws the purpose's code when the path does not exist or is the wrong kind, PERMISSION_DENIED for an output folder
   * that is read-only.
   */
  async grant(path: string, purpose: GrantPurpose): Promise<PathGrant> {
    const rule = PURPOSES[purpose]
    const realPath = await realpath(path).catch(() => undefined)
    const stats = realPath === undefined ? undefined : await stat(realPath).catch(() => undefined)
    if (realPath === undefined || stats === undefined) throw this.#refused(rule, path, 'it cannot be found')
    if (!(rule.kind === 'folder' ? stats.isDirectory() : stats.isFile())) {
      throw this.#refused(rule, path, `it is not a ${rule.kind}`)
    }
    await this.#checkWritable(rule, realPath)
    for (const { grant, realPath: known } of this.#stored.values()) {
      if (known === realPath && grant.purpose === purpose) return grant
    }
    const grant: PathGrant = {
      grantId: `g_${randomBytes(24).toString('base64url')}` as GrantId,
      purpose,
      displayPath: this.display(realPath),
      name: basename(realPath) || realPath,
    }
    this.#stored.set(grant.grantId, { grant, realPath })
    const oldest = this.#stored.keys().next()
    if (this.#stored.size > MAX_GRANTS && oldest.done !== true) this.#stored.delete(oldest.value)
    return grant
  }

  /** Real path of a grant made for exactly this purpose. Throws GRANT_UNKNOWN for another purpose, an invented id, or a path that a link has replaced. */
  async resolve(grantId: string, purpose: GrantPurpose): Promise<string> {
    const stored = this.#stored.get(grantId)
    if (stored?.grant.purpose !== purpose) throw unknownGrant(purpose, 'there is no such grant')
    const now = await realpath(stored.realPath).catch(() => undefined)
    if (now !== stored.realPath) {
      throw unknownGrant(stored.grant.displayPath, 'it was moved or replaced after it was chosen')
    }
    return stored.realPath
  }

  /** The grant of exactly this real path and purpose, if there is one. */
  find(path: string, purpose: GrantPurpose): GrantId | undefined {
    for (const { grant, realPath } of this.#stored.values()) {
      if (realPath === path && grant.purpose === purpose) return grant.grantId
    }
    return undefined
  }

  /** Real paths granted for a purpose. For the surface itself; the renderer never sees them. */
  pathsFor(purpose: GrantPurpose): readonly string[] {
    return [...this.#stored.values()]
      .filter(({ grant }) => grant.purpose === purpose)
      .map(({ realPath }) => realPath)
  }

  /** A path as people see it: the home folder shortened. Never an authority. */
  display(path: string): string {
    if (path === this.#homeFolder) return '~'
    return path.startsWith(`${this.#homeFolder}${sep}`) ? `~${path.slice(this.#homeFolder.length)}` : path
  }

  async #checkWritable(rule: PurposeRule, realPath: string): Promise<void> {
    if (rule.right === 'read') return
    await access(realPath, constants.W_OK).catch(() => {
      throw new AppError('PERMISSION_DENIED', {
        subject: this.display(realPath),
        problem: 'nothing may be written there',
        remedy: 'choose a folder that you own',
      })
    })
  }

  #refused(rule: PurposeRule, path: string, problem: string): AppError {
    return new AppError(rule.code, { subject: this.display(path), problem, remedy: rule.remedy })
  }
}

function unknownGrant(subject: string, problem: string): AppError {
  return new AppError('GRANT_UNKNOWN', { subject, problem, remedy: 'choose the folder or file again' })
}

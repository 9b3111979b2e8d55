/** Turns a failed system call into one of our errors, so that a full disk and a missing right read differently to a user. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { ErrorCode } from '../../../../shared/errors/codes.ts'

interface Mapping {
  readonly code: ErrorCode
  readonly problem: string
  readonly remedy: string
}

const BY_ERRNO: Readonly<Record<string, Mapping>> = {
  ENOSPC: {
    code: 'DISK_FULL',
    problem: 'the disk is full',
    remedy: 'free some space or choose another output folder',
  },
  EDQUOT: {
    code: 'DISK_FULL',
    problem: 'the disk quota is used up',
    remedy: 'free some space or choose another output folder',
  },
  EFBIG: {
    code: 'DISK_FULL',
    problem: 'the file system does not allow a file of this size',
    remedy: 'choose a smaller --max-shard-size',
  },
  EACCES: {
    code: 'PERMISSION_DENIED',
    problem: 'permission denied',
    remedy: 'check the rights of this path',
  },
  EPERM: {
    code: 'PERMISSION_DENIED',
    problem: 'operation not permitted',
    remedy: 'check the rights of this path',
  },
  EROFS: {
    code: 'PERMISSION_DENIED',
    problem: 'the file system is read-only',
    remedy: 'choose another output folder',
  },
}

/** `action` decides what an unmapped failure is called. Already typed errors pass unchanged. */
export function fromFsError(error: unknown, subject: string, action: 'read' | 'write'): AppError {
  if (error instanceof AppError) return error
  const errno = hasCode(error) ? error.code : undefined
  const mapping = errno === undefined ? undefined : BY_ERRNO[errno]
  if (mapping !== undefined) {
    return new AppError(mapping.code, {
      subject,
      problem: mapping.problem,
      remedy: mapping.remedy,
      cause: error,
    })
  }
  const detail = error instanceof Error ? error.message : String(error)
  return new AppError(action === 'read' ? 'READ_FAILED' : 'WRITE_FAILED', {
    subject,
    problem: `could not ${action}: ${detail}`,
    remedy: 'check the disk and try again',
    cause: error,
  })
}

const MISTAKEN: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  ELOOP: 'it is a link to itself',
  ENAMETOOLONG: 'the name is longer than a file can have',
  EISDIR: 'this is a folder, not a file',
}

/** The same for reading a file that the user named: a name that is no file is their mistake (`code`), a failing disk is not. */
export function fromNamedFileError(
  error: unknown,
  subject: string,
  code: ErrorCode,
  remedy: string,
): AppError {
  const problem = hasCode(error) && !(error instanceof AppError) ? MISTAKEN[error.code] : undefined
  if (problem === undefined) return fromFsError(error, subject, 'read')
  return new AppError(code, { subject, problem, remedy, cause: error })
}

function hasCode(error: unknown): error is { readonly code: string } {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
}

import { AppError } from '../../shared/errors/app-error.ts'

/** Runs something that must fail with an AppError and returns it; anything else that happens is thrown. */
export async function errorOf(action: () => unknown): Promise<AppError> {
  try {
    await action()
  } catch (error: unknown) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

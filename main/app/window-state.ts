/** Size and place of the window between starts. A damaged or foreign file gives the default, never an error. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import * as z from 'zod/mini'

const bounded = (minimum: number, maximum: number) => z.int().check(z.gte(minimum), z.lte(maximum))

const windowStateSchema = z.object({
  width: bounded(640, 16_384),
  height: bounded(480, 16_384),
  x: z.optional(bounded(-32_768, 32_767)),
  y: z.optional(bounded(-32_768, 32_767)),
  isMaximized: z.boolean(),
})

export type WindowState = z.infer<typeof windowStateSchema>

export const DEFAULT_WINDOW_STATE: WindowState = { width: 1280, height: 820, isMaximized: false }

interface Area {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export function readWindowState(path: string): WindowState {
  try {
    return windowStateSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return DEFAULT_WINDOW_STATE
  }
}

/** Without its place when the screen that it was on is gone: a window must not open where nobody sees it. */
export function onScreen(state: WindowState, screens: readonly Area[]): WindowState {
  const { x, y, ...rest } = state
  if (x === undefined || y === undefined) return rest
  const isVisible = screens.some(
    (area) => x >= area.x && y >= area.y && x < area.x + area.width && y < area.y + area.height,
  )
  return isVisible ? state : rest
}

/** Atomic: written beside and renamed. Throws what the file system throws. */
export function writeWindowState(path: string, state: WindowState): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.partial`, JSON.stringify(state), { mode: 0o600 })
  renameSync(`${path}.partial`, path)
}

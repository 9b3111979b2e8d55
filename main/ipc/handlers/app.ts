/** What the window asks about its surroundings. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeviceInfo } from '../../../shared/domain/app-info.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { HandlerTable } from '../handler-table.ts'
import type { Surface } from '../surface.ts'

export function appHandlers(surface: Surface): Pick<HandlerTable, 'app.get_info' | 'app.list_devices'> {
  let known: Promise<readonly DeviceInfo[]> | undefined
  /** The probe starts a worker, so its answer is kept; a failed one is asked again. */
  const devices = (): Promise<readonly DeviceInfo[]> => {
    known ??= surface.host['device.list']({}).catch((thrown: unknown) => {
      known = undefined
      const detail = AppError.from(thrown).toLine()
      return (['cpu', 'webgpu', 'cuda'] as const).map((device) => ({ device, isAvailable: false, detail }))
    })
    return known
  }
  return {
    'app.get_info': async () => ({
      version: surface.version,
      surface: surface.kind,
      hasNativeDialogs: surface.pickPath !== undefined,
      hasSample: await hasSample(surface),
      cpuCount: surface.cpuCount,
    }),
    'app.list_devices': devices,
  }
}

async function hasSample(surface: Surface): Promise<boolean> {
  return access(join(surface.sampleFolder, 'config.json')).then(
    () => true,
    () => false,
  )
}

/** Where a desktop application keeps its settings: the folder that Electron calls `userData`, for programs that run without Electron. */
import { join } from 'node:path'

export interface ConfigSurroundings {
  readonly platform: NodeJS.Platform
  readonly homeFolder: string
  readonly environment: Readonly<Record<string, string | undefined>>
}

export function settingsFile({ platform, homeFolder, environment }: ConfigSurroundings): string {
  return join(configFolder(platform, homeFolder, environment), 'Quantmill', 'settings.json')
}

function configFolder(
  platform: NodeJS.Platform,
  homeFolder: string,
  environment: ConfigSurroundings['environment'],
): string {
  if (platform === 'darwin') return join(homeFolder, 'Library', 'Application Support')
  const [variable, otherwise] =
    platform === 'win32'
      ? ['APPDATA', join(homeFolder, 'AppData', 'Roaming')]
      : ['XDG_CONFIG_HOME', join(homeFolder, '.config')]
  const given = environment[variable]
  return given === undefined || given === '' ? otherwise : given
}

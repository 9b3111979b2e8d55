/** Whether a Vulkan driver is installed at all. Asking the loader instead would print its complaints on standard error. */
import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const FOLDERS = ['/etc/vulkan', '/usr/local/etc/vulkan', '/usr/local/share/vulkan', '/usr/share/vulkan']

/** False only where it is certain: on Linux, when neither the usual folders nor the environment name a driver. */
export function mayHaveVulkanDriver(): boolean {
  if (process.platform !== 'linux') return true
  const named = process.env['VK_DRIVER_FILES'] ?? process.env['VK_ICD_FILENAMES']
  if (named !== undefined && named !== '') return named.split(':').some((path) => existsSync(path))
  const added = process.env['VK_ADD_DRIVER_FILES'] ?? ''
  if (added !== '') return true
  const ofUser = process.env['XDG_DATA_HOME'] ?? join(homedir(), '.local/share')
  return [...FOLDERS, join(ofUser, 'vulkan')].some((folder) => hasManifest(join(folder, 'icd.d')))
}

function hasManifest(folder: string): boolean {
  try {
    return readdirSync(folder).some((name) => name.endsWith('.json'))
  } catch {
    return false
  }
}

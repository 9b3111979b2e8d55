/** The system's dialogs: one of the ways in which a path gets authority. Electron's own comes as an argument. */
import type { OpenDialogOptions } from 'electron'
import { dirname } from 'node:path'
import type { GrantPurpose } from '../../shared/domain/app-info.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import type { UserData } from '../user-data/user-data.ts'

const DIALOGS: Readonly<Record<GrantPurpose, OpenDialogOptions>> = {
  checkpoint: { title: 'Open a checkpoint folder', properties: ['openDirectory'] },
  output: { title: 'Folder for the export', properties: ['openDirectory', 'createDirectory'] },
  calibration: {
    title: 'Calibration data',
    properties: ['openFile'],
    filters: [{ name: 'Text, JSON lines or token ids', extensions: ['txt', 'jsonl', 'safetensors'] }],
  },
  recipe: {
    title: 'Recipe',
    properties: ['openFile'],
    filters: [{ name: 'YAML', extensions: ['yaml', 'yml'] }],
  },
}

export type OpenDialog = (
  options: OpenDialogOptions,
) => Promise<{ readonly canceled: boolean; readonly filePaths: readonly string[] }>

/** Begins where the last dialog of this purpose ended, also after a restart. The chosen path; undefined when the user closed the dialog. */
export async function pickPath(
  purpose: GrantPurpose,
  userData: UserData,
  open: OpenDialog,
): Promise<string | undefined> {
  const lastFolder = userData.read().lastFolders[purpose]
  const { canceled, filePaths } = await open({
    ...DIALOGS[purpose],
    ...(lastFolder === undefined ? {} : { defaultPath: lastFolder }),
  })
  const path = filePaths[0]
  if (canceled || path === undefined) return undefined
  rememberFolder(purpose, dirname(path), userData)
  return path
}

function rememberFolder(purpose: GrantPurpose, folder: string, userData: UserData): void {
  try {
    userData.update((data) => ({ ...data, lastFolders: { ...data.lastFolders, [purpose]: folder } }))
  } catch (error: unknown) {
    // A dialog that begins elsewhere is no reason to refuse what was chosen in it.
    if (!(error instanceof AppError)) throw error
  }
}

/** The system's dialogs: one of the ways in which a path gets authority. */
import { dialog, type BrowserWindow, type OpenDialogOptions } from 'electron'
import type { GrantPurpose } from '../../shared/domain/app-info.ts'

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

/** The chosen path; undefined when the user closed the dialog. */
export async function pickPath(
  purpose: GrantPurpose,
  parent: BrowserWindow | undefined,
): Promise<string | undefined> {
  const options = DIALOGS[purpose]
  const { canceled, filePaths } =
    parent === undefined ? await dialog.showOpenDialog(options) : await dialog.showOpenDialog(parent, options)
  return canceled ? undefined : filePaths[0]
}

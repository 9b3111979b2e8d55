/** Texts of the folder dialog. */
export const foldersText = {
  title: {
    checkpoint: 'Open a checkpoint',
    output: 'Choose the output folder',
    calibration: 'Choose calibration data',
    recipe: 'Choose a recipe file',
  },
  description: 'Folders on the machine that Quantmill runs on.',
  loading: 'Reading the folder…',
  empty: 'This folder is empty.',
  up: 'Parent folder',
  roots: 'Places',
  cancel: 'Cancel',
  useFolder: 'Use this folder',
  useFile: 'Use this file',
  open: 'Open checkpoint',
  isCheckpoint: 'checkpoint',
  choose: 'Select an entry first',
  list: 'Folder entries',
} as const

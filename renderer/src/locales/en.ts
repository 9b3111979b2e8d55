/** Every text of the window. Typed by use: a second language is a second object of the same type. */
import { checkpointText } from './en/checkpoint.ts'
import { compareText } from './en/compare.ts'
import { foldersText } from './en/folders.ts'
import { libraryText } from './en/library.ts'
import { recipeText } from './en/recipe.ts'
import { reportText } from './en/report.ts'
import { runText } from './en/run.ts'
import { settingsText } from './en/settings.ts'
import { windowText } from './en/window.ts'

export const text = {
  ...windowText,
  folders: foldersText,
  library: libraryText,
  settings: settingsText,
  checkpoint: checkpointText,
  recipe: recipeText,
  run: runText,
  compare: compareText,
  report: reportText,
} as const

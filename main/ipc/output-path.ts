/** Where an export goes: the granted folder, else beside the checkpoint, else the folder for exports. Never inside the source checkpoint. */
import { access, constants, mkdir, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '../../shared/errors/app-error.ts'
import { isInside } from '../security/is-inside.ts'

export interface OutputChoice {
  /** Real path. */
  readonly checkpointPath: string
  /** Real path of an output grant; undefined = the user chose none. */
  readonly grantedFolder: string | undefined
  readonly outputName: string
  readonly sampleFolder: string
  readonly exportsFolder: string
}

/** Absolute path of the export; its parent exists. Throws OUTPUT_INSIDE_SOURCE, PERMISSION_DENIED. */
export async function outputPathOf(choice: OutputChoice): Promise<string> {
  const parent = choice.grantedFolder ?? (await defaultFolder(choice))
  if (isInside(parent, choice.checkpointPath)) {
    throw new AppError('OUTPUT_INSIDE_SOURCE', {
      subject: parent,
      problem: 'the output folder is the source checkpoint or lies inside it',
      remedy: 'choose an output folder outside the checkpoint',
    })
  }
  return join(parent, choice.outputName)
}

/** The sample belongs to the installation, so nothing is written beside it; nor beside a checkpoint on a read-only disk. */
async function defaultFolder({ checkpointPath, sampleFolder, exportsFolder }: OutputChoice): Promise<string> {
  const beside = dirname(checkpointPath)
  const sample = await realpath(sampleFolder).catch(() => undefined)
  if (checkpointPath !== sample && (await isWritable(beside))) return beside
  try {
    await mkdir(exportsFolder, { recursive: true })
    return await realpath(exportsFolder)
  } catch (error: unknown) {
    throw new AppError('PERMISSION_DENIED', {
      subject: exportsFolder,
      problem: 'the folder for exports cannot be created',
      remedy: 'choose an output folder',
      cause: error,
    })
  }
}

async function isWritable(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK).then(
    () => true,
    () => false,
  )
}

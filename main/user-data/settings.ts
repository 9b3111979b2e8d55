/** The user's settings: values as they are, paths as grants. Every path in them was granted when it was set, and is granted again here. */
import { randomBytes } from 'node:crypto'
import type { PathGrant } from '../../shared/domain/app-info.ts'
import type { CalibrationSetId, Preferences, Settings } from '../../shared/domain/settings.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import type { PathGrants } from '../security/path-grants.ts'
import { MAX_CALIBRATION_SETS } from './stored-data.ts'
import type { UserData } from './user-data.ts'

export class SettingsStore {
  readonly #userData: UserData
  readonly #grants: PathGrants

  constructor(userData: UserData, grants: PathGrants) {
    this.#userData = userData
    this.#grants = grants
  }

  async get(): Promise<Settings> {
    const { preferences, outputFolder, calibrationSets } = this.#userData.read()
    return {
      preferences,
      outputFolder:
        outputFolder === undefined
          ? undefined
          : {
              displayPath: this.#grants.display(outputFolder),
              grant: await this.#grantAgain(outputFolder, 'output'),
            },
      calibrationSets: await Promise.all(
        calibrationSets.map(async ({ setId, name, path }) => ({
          setId: setId as CalibrationSetId,
          name,
          displayPath: this.#grants.display(path),
          grant: await this.#grantAgain(path, 'calibration'),
        })),
      ),
    }
  }

  /** Throws WRITE_FAILED. */
  setPreferences(change: Partial<Preferences>): void {
    this.#userData.update((data) => ({ ...data, preferences: { ...data.preferences, ...change } }))
  }

  /** undefined = beside the checkpoint. Throws GRANT_UNKNOWN, WRITE_FAILED. */
  async setOutputFolder(grantId: string | undefined): Promise<void> {
    const outputFolder = grantId === undefined ? undefined : await this.#grants.resolve(grantId, 'output')
    this.#userData.update((data) => ({ ...data, outputFolder }))
  }

  /** A set of the same name is replaced. Throws GRANT_UNKNOWN, REQUEST_INVALID when there are too many, WRITE_FAILED. */
  async addCalibrationSet(grantId: string, name: string): Promise<void> {
    const path = await this.#grants.resolve(grantId, 'calibration')
    const setId = `c_${randomBytes(12).toString('base64url')}`
    this.#userData.update((data) => {
      const others = data.calibrationSets.filter((set) => set.name !== name)
      if (others.length >= MAX_CALIBRATION_SETS) throw tooMany(name)
      return { ...data, calibrationSets: [...others, { setId, name, path }] }
    })
  }

  /** The file itself stays. Throws WRITE_FAILED. */
  removeCalibrationSet(setId: string): void {
    this.#userData.update((data) => ({
      ...data,
      calibrationSets: data.calibrationSets.filter((set) => set.setId !== setId),
    }))
  }

  #grantAgain(path: string, purpose: 'output' | 'calibration'): Promise<PathGrant | undefined> {
    return this.#grants.grant(path, purpose).catch(() => undefined)
  }
}

function tooMany(subject: string): AppError {
  return new AppError('REQUEST_INVALID', {
    subject,
    problem: `there are ${String(MAX_CALIBRATION_SETS)} calibration sets already`,
    remedy: 'remove one that is not needed',
  })
}

/** What the user has set for good, and how the window shows it. Plain data, JSON safe. */
import type { PathGrant } from './app-info.ts'
import type { DeviceChoice } from './run-options.ts'

export const THEME_CHOICES = ['system', 'light', 'dark'] as const
export const NUMBER_LOCALES = ['system', 'en', 'de'] as const

export type ThemeChoice = (typeof THEME_CHOICES)[number]
/** How numbers are written; texts stay English. */
export type NumberLocale = (typeof NUMBER_LOCALES)[number]

export interface Preferences {
  readonly theme: ThemeChoice
  readonly numberLocale: NumberLocale
  /** Shortcuts of one letter (WCAG 2.1.4). */
  readonly hasSingleKeys: boolean
  /** Where new runs compute, unless they say otherwise. */
  readonly device: DeviceChoice
  /** Export workers of new runs; 0 = one per core. */
  readonly workers: number
  /** Main memory that a run may need, of which hidden states get their share; 0 = no limit. */
  readonly memoryLimitBytes: number
}

export const DEFAULT_PREFERENCES: Preferences = {
  theme: 'system',
  numberLocale: 'system',
  hasSingleKeys: true,
  device: 'auto',
  workers: 0,
  memoryLimitBytes: 0,
}

export type CalibrationSetId = string & { readonly __brand: 'CalibrationSetId' }

/** A calibration file under a name of the user's. */
export interface CalibrationSet {
  readonly setId: CalibrationSetId
  readonly name: string
  readonly displayPath: string
  /** undefined = the file is not there any more. */
  readonly grant: PathGrant | undefined
}

export interface Settings {
  readonly preferences: Preferences
  /** Where exports go by default; undefined = beside their checkpoint. */
  readonly outputFolder: { readonly displayPath: string; readonly grant: PathGrant | undefined } | undefined
  readonly calibrationSets: readonly CalibrationSet[]
}

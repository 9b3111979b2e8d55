/** Which command a key means. Pure; the listener is in useShortcuts. */
import { STEPS, type Step } from './steps.ts'

export type ShortcutCommand =
  | { readonly kind: 'go'; readonly step: Step }
  | {
      readonly kind:
        | 'go_on'
        | 'open_folder'
        | 'open_sample'
        | 'pause_or_continue'
        | 'toggle_theme'
        | 'focus_filter'
        | 'show_shortcuts'
    }

export interface KeyPress {
  readonly key: string
  readonly hasCommandKey: boolean
  readonly hasAlt: boolean
  /** The focus is where letters are text. */
  readonly isTyping: boolean
  readonly hasSingleKeys: boolean
}

const SINGLE_KEYS: Readonly<Record<string, ShortcutCommand>> = {
  o: { kind: 'open_folder' },
  s: { kind: 'open_sample' },
  p: { kind: 'pause_or_continue' },
  t: { kind: 'toggle_theme' },
  '/': { kind: 'focus_filter' },
  '?': { kind: 'show_shortcuts' },
}

export function commandOf(press: KeyPress): ShortcutCommand | undefined {
  if (press.hasAlt) return undefined
  if (press.hasCommandKey) return press.key === 'Enter' ? { kind: 'go_on' } : undefined
  if (press.isTyping || !press.hasSingleKeys) return undefined
  const step = /^[1-4]$/.test(press.key) ? STEPS[Number(press.key) - 1] : undefined
  return step === undefined ? SINGLE_KEYS[press.key.toLowerCase()] : { kind: 'go', step }
}

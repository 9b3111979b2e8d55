/** How the window writes numbers. Reading it while rendering makes what was rendered depend on it. */
import { shallowRef } from 'vue'
import { followLocale } from '../../../shared/domain/format-text.ts'
import type { NumberLocale } from '../../../shared/domain/settings.ts'

/** undefined = the system's. */
const TAGS: Readonly<Record<NumberLocale, string | undefined>> = {
  system: undefined,
  en: 'en-US',
  de: 'de-DE',
}

const chosen = shallowRef<string>()
followLocale(() => chosen.value)

export function setNumberLocale(locale: NumberLocale): void {
  chosen.value = TAGS[locale]
}

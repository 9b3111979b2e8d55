/**
 * Light, dark or as the system. Writes the outcome to the root element, where the style sheet reads it. The settings keep the choice; the page
 * keeps a copy, so that the first picture after a start has the right colours already.
 */
import { defineStore } from 'pinia'
import { computed, ref, watchEffect } from 'vue'
import { THEME_CHOICES, type ThemeChoice } from '../../../shared/domain/settings.ts'
import type { Theme } from '../charts/colour-map.ts'

const STORAGE_KEY = 'quantmill.theme'

export const useThemeStore = defineStore('theme', () => {
  const query = window.matchMedia('(prefers-color-scheme: dark)')
  const systemIsDark = ref(query.matches)
  const choice = ref<ThemeChoice>(readChoice())
  const theme = computed<Theme>(() =>
    choice.value === 'system' ? (systemIsDark.value ? 'dark' : 'light') : choice.value,
  )

  query.addEventListener('change', ({ matches }) => {
    systemIsDark.value = matches
  })
  watchEffect(() => {
    document.documentElement.dataset['theme'] = theme.value
  })

  function choose(next: ThemeChoice): void {
    choice.value = next
    localStorage.setItem(STORAGE_KEY, next)
  }

  return { choice, theme, choose }
})

export function nextChoice(choice: ThemeChoice): ThemeChoice {
  return THEME_CHOICES[(THEME_CHOICES.indexOf(choice) + 1) % THEME_CHOICES.length] ?? 'system'
}

function readChoice(): ThemeChoice {
  const stored = localStorage.getItem(STORAGE_KEY)
  return THEME_CHOICES.find((choice) => choice === stored) ?? 'system'
}

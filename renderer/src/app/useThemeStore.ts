/** Light, dark or as the system; kept between starts. Writes the outcome to the root element, where the style sheet reads it. */
import { defineStore } from 'pinia'
import { computed, ref, watchEffect } from 'vue'
import type { Theme } from '../charts/colour-map.ts'

const STORAGE_KEY = 'quantmill.theme'
const CHOICES = ['system', 'light', 'dark'] as const
export type ThemeChoice = (typeof CHOICES)[number]

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

  function cycle(): void {
    choice.value = nextChoice(choice.value)
    localStorage.setItem(STORAGE_KEY, choice.value)
  }

  return { choice, theme, cycle }
})

export function nextChoice(choice: ThemeChoice): ThemeChoice {
  return CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length] ?? 'system'
}

function readChoice(): ThemeChoice {
  const stored = localStorage.getItem(STORAGE_KEY)
  return CHOICES.find((choice) => choice === stored) ?? 'system'
}

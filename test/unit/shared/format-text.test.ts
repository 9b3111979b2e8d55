import { afterEach, describe, expect, it } from 'vitest'
import { computed, shallowRef } from 'vue'
import {
  followLocale,
  formatBytes,
  formatDuration,
  formatMoment,
  formatNumber,
} from '../../../shared/domain/format-text.ts'

afterEach(() => {
  followLocale(() => undefined)
})

describe('numbers by locale', () => {
  it('writes points and commas as the locale does, and units as always', () => {
    expect(formatNumber(1234567.891, 2, 'en-US')).toBe('1,234,567.89')
    expect(formatNumber(1234567.891, 2, 'de-DE')).toBe('1.234.567,89')
    expect(formatBytes(1536, 'en-US')).toBe('1.5 KiB')
    expect(formatBytes(1536, 'de-DE')).toBe('1,5 KiB')
    expect(formatDuration(1500, 'de-DE')).toBe('1,5 s')
  })

  it('writes moments as the locale does, with 24 hours', () => {
    const moment = Date.UTC(2026, 10, 24, 22, 57)
    expect(formatMoment(moment, 'de-DE', 'UTC')).toBe('24.11.26, 22:57')
    expect(formatMoment(moment, 'en-US', 'UTC')).toBe('11/24/26, 22:57')
  })

  // Catches a formatter that is kept for the locale of its first use.
  it('follows the chosen locale wherever none is given, also in what was computed before', () => {
    const locale = shallowRef('en-US')
    followLocale(() => locale.value)
    const shown = computed(() => formatNumber(1234.5, 1))
    expect(shown.value).toBe('1,234.5')
    locale.value = 'de-DE'
    expect(shown.value).toBe('1.234,5')
    expect(formatNumber(1234.5, 1, 'en-US')).toBe('1,234.5')
  })
})

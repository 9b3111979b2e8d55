/** Fixed colours of tensor roles and formats in byte charts: lightness differs between neighbours, names always stand beside them. */
import type { Theme } from './colour-map.ts'

const COLOURS: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  expert: ['#0a655f', '#4fc0b4'],
  mtp: ['#6b4fa0', '#b29be0'],
  attention: ['#1f6fb2', '#6fb4ee'],
  linear_attention: ['#5aa0d6', '#3a7fb8'],
  shared_expert: ['#57a89d', '#2a857c'],
  embedding: ['#b07c16', '#e0b04f'],
  lm_head: ['#d3a94e', '#a97e22'],
  vision: ['#a3486c', '#dd86a8'],
  router: ['#c2612c', '#e8925f'],
  norm: ['#6d7a76', '#95a39f'],
  other: ['#99a5a1', '#6b7976'],
}

const FALLBACK: readonly [light: string, dark: string] = ['#99a5a1', '#6b7976']

export function roleColour(role: string, theme: Theme): string {
  const [light, dark] = COLOURS[role] ?? FALLBACK
  return theme === 'dark' ? dark : light
}

const FORMAT_ROLE: readonly (readonly [prefix: string, role: string])[] = [
  ['nvfp4', 'expert'],
  ['mxfp4', 'linear_attention'],
  ['mxfp8', 'attention'],
  ['fp8', 'attention'],
  ['int4', 'vision'],
  ['int8', 'router'],
]

/** Formats borrow the roles' colours; what is carried over is grey. */
export function formatColour(format: string, theme: Theme): string {
  const role = FORMAT_ROLE.find(([prefix]) => format.startsWith(prefix))?.[1] ?? 'norm'
  return roleColour(role, theme)
}

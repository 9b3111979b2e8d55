/** Memory as people type it. Pure. */

const GIBIBYTE = 2 ** 30

/** Bytes of a number of gibibytes with a decimal point or comma; undefined for what is no such number. */
export function gibibytesOf(typed: string): number | undefined {
  const normal = typed.trim().replace(',', '.')
  if (!/^\d{1,6}(\.\d{1,6})?$/.test(normal)) return undefined
  return Math.round(Number(normal) * GIBIBYTE)
}

export function gibibyteText(bytes: number): string {
  return String(Math.round((bytes / GIBIBYTE) * 1000) / 1000)
}

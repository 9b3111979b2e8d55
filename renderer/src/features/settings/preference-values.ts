/** Preferences between what is typed and what is kept. Pure. */

const GIBIBYTE = 2 ** 30

/** Bounds are those of the contract's schema. undefined for what is no such number. */
export function workersOf(typed: string): number | undefined {
  const value = Number(typed)
  return /^\d{1,3}$/.test(typed.trim()) && value <= 256 ? value : undefined
}

/** Gibibytes with a decimal point or comma; undefined for what is no such number. */
export function memoryBytesOf(typed: string): number | undefined {
  const normal = typed.trim().replace(',', '.')
  if (!/^\d{1,6}(\.\d{1,6})?$/.test(normal)) return undefined
  return Math.round(Number(normal) * GIBIBYTE)
}

export function memoryText(bytes: number): string {
  return String(Math.round((bytes / GIBIBYTE) * 1000) / 1000)
}

/** `chats.jsonl` -> `chats`. */
export function setNameOf(fileName: string): string {
  return fileName.replace(/\.(?:txt|jsonl|safetensors)$/i, '').slice(0, 256)
}

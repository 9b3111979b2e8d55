/** Preferences between what is typed and what is kept. Pure. */

/** Bounds are those of the contract's schema. undefined for what is no such number. */
export function workersOf(typed: string): number | undefined {
  const value = Number(typed)
  return /^\d{1,3}$/.test(typed.trim()) && value <= 256 ? value : undefined
}

/** `chats.jsonl` -> `chats`. */
export function setNameOf(fileName: string): string {
  return fileName.replace(/\.(?:txt|jsonl|safetensors)$/i, '').slice(0, 256)
}

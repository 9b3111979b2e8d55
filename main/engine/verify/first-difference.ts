/** Byte comparison. */

/** Position of the first byte that differs, or at which the shorter of two arrays ends; -1 when they are equal. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at += 1) if (a[at] !== b[at]) return at
  return a.length === b.length ? -1 : length
}

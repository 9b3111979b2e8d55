/** Mutations of bytes, all drawn from one seeded generator: the same seed gives the same input on every machine. */

/** Numbers in [0, 1). Source: mulberry32, public domain. */
export type Random = () => number

export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What readers tend to trip over, in any text format. */
const TOKENS = [
  '"', "'", '{', '}', '[', ']', ':', ',', '\\', '\n', '\r\n', '\t', '\0', ' ', '#', '- ', '&a ', '*a', '!!js/function ', '<<: ',
  'null', 'true', '-1', '0', '1e999', '-1e-999', '9007199254740993', '18446744073709551616', '0x7f', 'NaN', 'Infinity', '.5',
  '"__proto__"', '"constructor"', '"toString"', '__proto__: ', '"\\ud800"', '"\\u0000"', '\ufeff', '\u2028', '\u{1f600}',
  '../../../../etc/passwd', '/dev/zero', '/etc/passwd', 'file:///etc/passwd', 'C:\\\\Windows', '%2e%2e%2f', '{{ messages }}', '{% for a in b %}',
  '"F32"', '"BF16"', '"F8_E4M3"', '"shape"', '"data_offsets"', '"input_ids"', 're:(a|b)*c', '*', '[[[[', 'x'.repeat(300), '['.repeat(120),
  '{"a":'.repeat(90), 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'GET / HTTP/1.1\r\n', '\r\n\r\n',
] // prettier-ignore

const encoder = new TextEncoder()
const below = (random: Random, limit: number): number => Math.floor(random() * limit)
const pick = <T>(random: Random, list: readonly T[], fallback: T): T =>
  list[below(random, list.length)] ?? fallback

/** One to four changes: bits, bytes, ranges, tokens, numbers, parts of another input. Never the input itself; at most 64 KiB longer. */
export function mutate(
  input: Uint8Array,
  others: readonly Uint8Array[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  if (random() < 0.4) {
    const restructured = mutateJson(input, random)
    if (restructured !== undefined) return restructured
  }
  let bytes: Uint8Array<ArrayBuffer> = Uint8Array.from(input)
  const changes = random() < 0.5 ? 1 : 1 + below(random, 4)
  for (let left = changes; left > 0; left -= 1) bytes = change(bytes, others, random)
  return bytes
}

const VALUES: readonly unknown[] = [
  null, true, false, 0, -1, 1.5, 1e308, 2 ** 53, '', 'a', '../x', '/etc/passwd', '\ud800', '*', 're:(a|b)*c', 'F32', 'NVFP4', 'x'.repeat(2000),
  [], {}, [[]], [null], { a: 1 }, ['a', 1], JSON.parse('{"__proto__":{"a":1}}') as unknown,
] // prettier-ignore

/** The same JSON with one value somewhere replaced, removed, repeated, or put under another key; undefined when it is no JSON. */
function mutateJson(input: Uint8Array, random: Random): Uint8Array<ArrayBuffer> | undefined {
  let root: unknown
  try {
    root = JSON.parse(new TextDecoder().decode(input))
  } catch {
    return undefined
  }
  const changes = 1 + below(random, 3)
  for (let left = changes; left > 0; left -= 1) root = changeNode(root, random)
  return encoder.encode(JSON.stringify(root))
}

function changeNode(node: unknown, random: Random): unknown {
  if (typeof node !== 'object' || node === null || random() < 0.1) return pick(random, VALUES, null)
  const entries = Object.entries(node)
  const at = below(random, entries.length)
  const [key, value] = entries[at] ?? ['a', null]
  const deeper = typeof value === 'object' && value !== null && random() < 0.7
  if (deeper) entries[at] = [key, changeNode(value, random)]
  else if (random() < 0.2) entries.splice(at, 1)
  else if (random() < 0.2) entries.push([`${key}0`, value])
  else if (random() < 0.2) entries[at] = [pick(random, entries, [key, value] as [string, unknown])[0], value]
  else entries[at] = [key, pick(random, VALUES, null)]
  return Array.isArray(node) ? entries.map((entry) => entry[1]) : Object.fromEntries(entries)
}

function change(
  bytes: Uint8Array<ArrayBuffer>,
  others: readonly Uint8Array[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  const at = below(random, bytes.length + 1)
  const length = Math.min(bytes.length - at, 1 + below(random, random() < 0.8 ? 8 : bytes.length + 1))
  switch (below(random, 9)) {
    case 0:
      return spliced(bytes, at, Math.min(1, length), [(bytes[at] ?? 0) ^ (1 << below(random, 8))])
    case 1:
      return spliced(bytes, at, Math.min(1, length), [below(random, 256)])
    case 2:
      return spliced(bytes, at, length, [])
    case 3:
      return bytes.slice(0, at)
    case 4:
      return spliced(bytes, at, 0, bytes.subarray(at, at + Math.min(length, 4096)))
    case 5:
    case 6:
      return spliced(bytes, at, below(random, 2) * length, encoder.encode(pick(random, TOKENS, '')))
    case 7:
      return withOtherNumber(bytes, random)
    default: {
      const other = pick(random, others, bytes)
      const from = below(random, other.length)
      return spliced(bytes, at, length, other.subarray(from, from + 1 + below(random, 4096)))
    }
  }
}

function spliced(
  bytes: Uint8Array,
  at: number,
  removed: number,
  added: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(bytes.length - removed + added.length)
  result.set(bytes.subarray(0, at))
  result.set(added, at)
  result.set(bytes.subarray(at + removed), at + added.length)
  return result
}

const NUMBERS = ['0', '-1', '1', '255', '65536', '4294967296', '9007199254740992', '1e308', '0.1', '-0']

/** Replaces a run of digits somewhere. */
function withOtherNumber(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39
  const start = below(random, bytes.length + 1)
  let begin = start
  while (begin < bytes.length && !isDigit(bytes[begin])) begin += 1
  let end = begin
  while (isDigit(bytes[end])) end += 1
  return spliced(bytes, begin, end - begin, encoder.encode(pick(random, NUMBERS, '0')))
}

/** Typing errors must end in a message, never in a default that quietly replaces what the user meant. */
import { describe, expect, test } from 'vitest'
import { parseArguments, parseShardSize } from '../../../../main/cli/arguments.ts'

const table = { workers: { type: 'string' }, profile: { type: 'string' }, json: { type: 'boolean' } } as const
const usage = expect.objectContaining({ code: 'USAGE' }) as unknown

describe('parseArguments', () => {
  test('reads values, flags and positionals', () => {
    const parsed = parseArguments('run', ['model', '--workers', '3', '--json'], table, ['checkpoint'])
    expect(parsed.positionals).toEqual(['model'])
    expect(parsed.wholeNumber('workers', 1)).toBe(3)
    expect(parsed.flag('json')).toBe(true)
    expect(parsed.choice('profile', ['hardened'])).toBeUndefined()
  })

  test.each([
    ['unknown option', ['m', '--wokers', '3']],
    ['missing value', ['m', '--workers']],
    ['no positional', ['--json']],
    ['two positionals', ['a', 'b']],
  ])('%s', (_, argv) => {
    expect(() => parseArguments('run', argv, table, ['checkpoint'])).toThrow(usage)
  })

  test.each(['0', '-1', '1.5', '1e3', 'many', ' 2'])('--workers %s is refused', (value) => {
    const parsed = parseArguments('run', ['m', `--workers=${value}`], table, ['checkpoint'])
    expect(() => parsed.wholeNumber('workers', 1)).toThrow(usage)
  })
})

describe('parseShardSize', () => {
  test.each([
    ['10GB', 10_000_000_000],
    ['4MB', 4_000_000],
    ['4MiB', 4_194_304],
    ['1.5gb', 1_500_000_000],
    ['2000000', 2_000_000],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseShardSize(text)).toBe(bytes)
  })

  test.each(['', 'GB', '10XB', '-4MB', '0', '1KB', '1e9', 'Infinity'])('"%s" is refused', (text) => {
    expect(() => parseShardSize(text)).toThrow(expect.objectContaining({ code: 'SHARD_SIZE_INVALID' }))
  })
})

import { describe, expect, it } from 'vitest'
import { errorDetail, errorSentences } from '../../../../renderer/src/ui/error-text.ts'

describe('errorSentences', () => {
  it('makes sentences of clauses without touching file names at their start', () => {
    expect(errorSentences({ problem: 'the disk is full', remedy: 'free 2 GiB' })).toEqual({
      problem: 'The disk is full.',
      remedy: 'Free 2 GiB.',
    })
    expect(errorSentences({ problem: 'config.json is missing', remedy: 'is it there?' })).toEqual({
      problem: 'config.json is missing.',
      remedy: 'Is it there?',
    })
  })
})

describe('errorDetail', () => {
  it('holds code, subject, both sentences and the stack when there is one', () => {
    const error = {
      code: 'DISK_FULL',
      kind: 'environment',
      subject: '~/out',
      problem: 'no space is left',
      remedy: 'free some',
    } as const
    expect(errorDetail(error)).toBe('DISK_FULL (environment)\n~/out\nNo space is left.\nFree some.')
    expect(errorDetail({ ...error, stack: 'Error: x\n  at y' })).toMatch(/Free some\.\n\nError: x/)
  })

  it('holds every problem that was found with it', () => {
    const problem = (subject: string) =>
      ({ code: 'DISK_FULL', kind: 'environment', subject, problem: 'no space', remedy: 'free some' }) as const
    expect(errorDetail({ ...problem('a'), further: [problem('b'), problem('c')] })).toBe(
      ['a', 'b', 'c'].map((name) => `DISK_FULL (environment)\n${name}\nNo space.\nFree some.`).join('\n\n'),
    )
  })
})

import { describe, expect, it } from 'vitest'
import {
  createDraft,
  defaultOutputName,
  draftProblems,
  toRunOptions,
} from '../../../../../renderer/src/features/recipe/recipe-draft.ts'
import { outputNameSchema, runOptionsSchema } from '../../../../../shared/contract/schemas.ts'
import { makeGrant } from '../../snapshots.ts'
import { fc, runs } from '../../../../tools/properties.ts'

const small = createDraft(20_000_000)

describe('createDraft', () => {
  it('calibrates small checkpoints for seconds and real ones with the product default', () => {
    expect([small.samples, small.sequenceLength]).toEqual(['16', '256'])
    const large = createDraft(750 * 2 ** 30)
    expect([large.samples, large.sequenceLength]).toEqual(['128', '512'])
  })

  it('is valid as it is', () => {
    expect(draftProblems(small, 'x')).toEqual({})
    expect(runOptionsSchema.safeParse(toRunOptions(small)).success).toBe(true)
  })
})

describe('draftProblems', () => {
  it.each(['0', '1.5', '-3', '1e3', 'many', '1000001'])('refuses %j samples', (samples) => {
    expect(draftProblems({ ...small, samples }, 'x')).toHaveProperty('samples')
  })

  it('leaves an empty amount of data to the recipe, so that its own value counts', () => {
    const empty = { ...small, samples: '', sequenceLength: ' ' }
    expect(draftProblems(empty, 'x')).toEqual({})
    const options = toRunOptions(empty)
    expect([options.samples, options.sequenceLength]).toEqual([undefined, undefined])
    expect(runOptionsSchema.safeParse(options).success).toBe(true)
  })

  it('accepts a decimal comma for the shard size and refuses what is too small', () => {
    expect(toRunOptions({ ...small, maxShardGigabytes: '0,004' }).maxShardSizeBytes).toBe(4_000_000)
    expect(draftProblems({ ...small, maxShardGigabytes: '0.0001' }, 'x')).toHaveProperty('maxShardGigabytes')
  })

  it('gives hidden states a quarter of the memory limit of the settings, and says nothing without one', () => {
    expect(toRunOptions(small).memoryBytes).toBeUndefined()
    expect(toRunOptions({ ...small, memoryGibibytes: '0,5' }).memoryBytes).toBe(134_217_728)
  })

  it('agrees with the contract about every output name', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 210 }), (name) => {
        const isAccepted = draftProblems(small, name).outputName === undefined
        expect(isAccepted).toBe(outputNameSchema.safeParse(name).success)
      }),
    )
  })

  it('never lets through options that the contract refuses', () => {
    const field = fc.constantFrom(
      'samples',
      'sequenceLength',
      'minTokensPerExpert',
      'workers',
      'maxShardGigabytes',
    )
    const value = fc.oneof(
      fc.integer({ min: -5, max: 2_000_000 }).map(String),
      fc.constantFrom('0.001', '0.0009', '999999', '0x10', ' 7 ', '1_000', '٣'),
      fc.string({ maxLength: 6 }),
    )
    fc.assert(
      fc.property(field, value, (name, text) => {
        const draft = { ...small, [name]: text }
        if (Object.keys(draftProblems(draft, 'x')).length > 0) return
        expect(runOptionsSchema.safeParse(toRunOptions(draft)).success).toBe(true)
      }),
      runs(500),
    )
  })
})

describe('toRunOptions', () => {
  it('leaves recipe and profile to decide unless the user did', () => {
    expect(toRunOptions(small)).toMatchObject({ kv: undefined, expertInputScale: undefined })
    const draft = { ...small, kv: 'none', expertInputScale: 'shared' } as const
    expect(toRunOptions(draft)).toMatchObject({ kv: 'none', expertInputScale: 'shared' })
  })

  it('asks for no minimum of tokens unless one was typed', () => {
    expect(toRunOptions(small).minTokensPerExpert).toBeUndefined()
    expect(toRunOptions({ ...small, minTokensPerExpert: '8' }).minTokensPerExpert).toBe(8)
    expect(draftProblems({ ...small, minTokensPerExpert: '0' }, 'x')).toHaveProperty('minTokensPerExpert')
  })

  it('sends the grant of a recipe file in place of a name', () => {
    const grant = makeGrant('mine', 'recipe')
    expect(toRunOptions({ ...small, recipeGrant: grant }).recipe).toBe(grant.grantId)
  })
})

describe('defaultOutputName', () => {
  it('joins checkpoint and recipe, without the ending of a recipe file', () => {
    expect(defaultOutputName('tiny', small)).toBe('tiny-nvfp4_experts_only-kv_fp8')
    expect(defaultOutputName('tiny', { ...small, recipeGrant: makeGrant('mine.yaml', 'recipe') })).toBe(
      'tiny-mine',
    )
  })

  it('is a valid name whatever the checkpoint folder is called', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (name) => {
        expect(outputNameSchema.safeParse(defaultOutputName(name, small)).success).toBe(true)
      }),
    )
  })
})

/** Checks of real folders: progress adds up to what is read, a cancel ends one, a failure is an error with a code. */
import { describe, expect, test } from 'vitest'
import { Checks } from '../../../../../main/host/checks/checks.ts'
import type { HostCheckRequest } from '../../../../../main/host/host-api.ts'
import type { CheckId, CheckSnapshot } from '../../../../../shared/domain/check.ts'
import { SAMPLE } from '../../../../tools/sample-path.ts'

const EXPERTS = 'model.language_model.layers.0.mlp.experts.gate_up_proj'

async function run(
  request: HostCheckRequest,
  onStart: (checks: Checks, id: CheckId) => void = () => undefined,
): Promise<{
  readonly checks: Checks
  readonly seen: readonly CheckSnapshot[]
  readonly last: CheckSnapshot
}> {
  const seen: CheckSnapshot[] = []
  let checks: Checks | undefined
  const last = await new Promise<CheckSnapshot>((resolve) => {
    checks = new Checks((snapshot) => {
      seen.push(snapshot)
      if (snapshot.state.kind !== 'running') resolve(snapshot)
    })
    onStart(checks, checks.start(request))
  })
  if (checks === undefined) throw new Error('not started')
  return { checks, seen, last }
}

describe('checks', () => {
  test('looking at a tensor ends with its result, all of its bytes counted', async () => {
    const { checks, last } = await run({ kind: 'inspect', checkpointPath: SAMPLE, tensor: EXPERTS })
    expect(last.state).toEqual({ kind: 'succeeded' })
    // 32 experts x 256 x 128 BF16 values.
    expect([last.doneBytes, last.totalBytes]).toEqual([4_194_304, 4_194_304])
    const result = checks.result(last.checkId)
    expect(result.kind === 'inspect' && result.inspection.amaxByExpert).toHaveLength(32)
  })

  test('what is wrong with a check is its end, not an exception nobody sees', async () => {
    const { checks, last } = await run({ kind: 'inspect', checkpointPath: SAMPLE, tensor: 'no.such.tensor' })
    expect(last.state).toMatchObject({ kind: 'failed', error: { code: 'TENSOR_MISSING' } })
    expect(() => checks.result(last.checkId)).toThrow('has not succeeded')
  })

  test('a cancelled check says so and has no result', async () => {
    const { checks, last } = await run(
      { kind: 'compare', leftPath: SAMPLE, rightPath: SAMPLE },
      (all, id) => {
        all.cancel(id)
      },
    )
    expect(last.state).toEqual({ kind: 'cancelled' })
    expect(() => checks.result(last.checkId)).toThrow('has not succeeded')
  })

  test('an unknown check has a code of its own', () => {
    const checks = new Checks(() => undefined)
    expect(() => checks.snapshot('v_none' as CheckId)).toThrow(
      expect.objectContaining({ code: 'CHECK_UNKNOWN' }),
    )
  })
})

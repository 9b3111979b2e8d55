/** The list must find what is searched, sort as it says, and never answer one question with the list of another. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Checkpoint } from '../../../../../main/engine/checkpoint/checkpoint.ts'
import { listTensors } from '../../../../../main/engine/checkpoint/list-tensors.ts'
import type { MoeModel } from '../../../../../main/engine/models/moe-model.ts'
import type { TensorColumn, TensorPage } from '../../../../../shared/domain/checkpoint-summary.ts'
import { openSample } from '../../../../tools/open-sample.ts'

let checkpoint: Checkpoint
let model: MoeModel

beforeAll(async () => {
  ;({ checkpoint, model } = await openSample())
})

const list = (filter: string, offset = 0, limit = 1000): TensorPage =>
  listTensors(checkpoint, model, { filter, offset, limit })

test('pages through everything', () => {
  expect(list('').totalCount).toBe(124)
  expect(list('', 120, 10).rows).toHaveLength(4)
  expect(list('', 500, 10)).toEqual({ totalCount: 124, rows: [] })
})

test('filters by name without case, and by role', () => {
  expect(list('A_LOG').rows.map(({ name, dtype, shape, role }) => [name, dtype, shape, role])).toEqual(
    [0, 1, 2].map((layer) => [
      `model.language_model.layers.${String(layer)}.linear_attn.A_log`,
      'F32',
      [8],
      'linear_attention',
    ]),
  )
  expect(list('vision').totalCount).toBe(33)
  expect(list('(.*').totalCount).toBe(0)
})

describe('sorting', () => {
  const names = (by: TensorColumn, isDescending: boolean, filter: string, limit = 3): readonly string[] =>
    listTensors(checkpoint, model, { filter, order: { by, isDescending }, offset: 0, limit }).rows.map(
      ({ name }) => name.replace('model.language_model.layers.', ''),
    )

  test('by bytes: largest or smallest first, equal ones by name', () => {
    expect(names('bytes', true, 'layers.')).toEqual([
      '0.mlp.experts.gate_up_proj',
      '1.mlp.experts.gate_up_proj',
      '2.mlp.experts.gate_up_proj',
    ])
    expect(names('bytes', false, '.linear_attn.')).toEqual([
      '0.linear_attn.dt_bias',
      '1.linear_attn.dt_bias',
      '2.linear_attn.dt_bias',
    ])
  })

  test('by shape is by the number of values, by type and role by their names', () => {
    expect(names('shape', true, 'shared_expert', 1)).toEqual(['0.mlp.shared_expert.down_proj.weight'])
    expect(names('dtype', true, 'linear_attn', 1)).toEqual(['0.linear_attn.A_log'])
    expect(names('role', true, 'layers.0', 1)).toEqual(['0.mlp.shared_expert.down_proj.weight'])
  })

  test('numbers in names count as numbers', () => {
    const tensor = (name: string) =>
      [name, { ...[...checkpoint.tensors.values()][0], name }] as [string, never]
    const many = {
      ...checkpoint,
      tensors: new Map(['layers.10.b', 'layers.9.b', 'layers.9.a'].map(tensor)),
    } as Checkpoint
    const rows = (isDescending: boolean): readonly string[] =>
      listTensors(many, model, {
        filter: '',
        order: { by: 'name', isDescending },
        offset: 0,
        limit: 9,
      }).rows.map(({ name }) => name)
    expect(rows(false)).toEqual(['layers.9.a', 'layers.9.b', 'layers.10.b'])
    expect(rows(true)).toEqual(['layers.10.b', 'layers.9.b', 'layers.9.a'])
  })

  test('another order, filter or none is another list', () => {
    const first = (): string | undefined => list('').rows[0]?.name
    const asStored = first()
    expect(names('bytes', true, '', 1)).not.toEqual([asStored])
    expect(first()).toBe(asStored)
    expect(names('bytes', true, 'norm', 1)).not.toEqual(names('bytes', true, '', 1))
  })
})

/** Shards are filled in state-dict order, so one item out of place changes every file behind it. Expected order: a reference export. */
import { expect, test } from 'vitest'
import type { TensorSlice } from '../../../../../../main/engine/checkpoint/checkpoint.ts'
import type { ExportItem } from '../../../../../../main/engine/models/moe-model.ts'
import { recogniseModel } from '../../../../../../main/engine/models/recognise-model.ts'
import order from '../../../../../fixtures/checkpoint/state-dict-order.json' with { type: 'json' }
import { headerCheckpoint } from '../../../../../tools/header-checkpoint.ts'
import { openSample } from '../../../../../tools/open-sample.ts'

/** Names that an unquantized export of the item has; of the experts only those the fixture lists. */
function names(item: ExportItem): readonly string[] {
  switch (item.kind) {
    case 'tensor':
      return [item.name]
    case 'linear':
      return [`${item.module}.weight`]
    case 'kv_cache':
      return [`${item.module}.k_proj.k_scale`, `${item.module}.v_proj.v_scale`]
    case 'experts':
      return [0, 1, 31].flatMap((expert) =>
        ['gate_proj', 'up_proj', 'down_proj'].map(
          (name) => `${item.module}.${String(expert)}.${name}.weight`,
        ),
      )
  }
}

function sources(item: ExportItem): readonly TensorSlice[] {
  if (item.kind === 'kv_cache') return []
  return item.kind === 'experts'
    ? item.experts.flatMap(({ gate, up, down }) => [gate, up, down])
    : [item.source]
}

test('the sample is listed in the order of the reference export', async () => {
  const { model } = await openSample()
  expect(model.exportOrder.flatMap(names)).toEqual(order.names)
})

test.each([
  ['fused', 'per_expert'],
  ['per_expert', 'fused'],
  ['per_expert', 'per_expert'],
] as const)('trunk %s, MTP %s: the same order, MTP as it is stored', (expertLayout, mtpLayout) => {
  const { model, checkpoint } = headerCheckpoint({ expertLayout, mtpLayout })
  expect(model).toMatchObject({ expertLayout, mtpLayout })
  const isMtp = (name: string): boolean => name.startsWith('mtp.')
  const listed = model.exportOrder.flatMap(names)
  expect(listed.filter((name) => !isMtp(name))).toEqual(order.names.filter((name) => !isMtp(name)))
  expect(listed.filter(isMtp)).toEqual([...checkpoint.tensors.keys()].filter(isMtp))
})

test('every tensor is in exactly one item', async () => {
  for (const { checkpoint, model } of [
    await openSample(),
    headerCheckpoint({ expertLayout: 'per_expert', prefix: 'flat', mtpLayout: 'per_expert' }),
    headerCheckpoint({ hasHead: false, mtpLayout: 'none', hasVision: false }),
  ]) {
    const bytes = new Map<string, number>()
    const add = ({ name, sizeBytes }: { readonly name: string; readonly sizeBytes: number }): void => {
      bytes.set(name, (bytes.get(name) ?? 0) + sizeBytes)
    }
    for (const source of model.exportOrder.flatMap(sources)) add(source)
    const expected = new Map([...checkpoint.tensors].map(([name, { sizeBytes }]) => [name, sizeBytes]))
    expect(bytes).toEqual(expected)
    expect([...model.roles.keys()].sort()).toEqual([...checkpoint.tensors.keys()].sort())
  }
})

test('MTP tensors follow the shard of the first of them, then the index', () => {
  const { checkpoint } = headerCheckpoint()
  const shardOf = (name: string): number => (name === 'mtp.fc.weight' ? 0 : name.includes('.mlp.') ? 2 : 1)
  const tensors = new Map(
    [...checkpoint.tensors].map(([name, slice]) => [name, { ...slice, shardIndex: shardOf(name) }]),
  )
  const mtp = headerCheckpointModel({ ...checkpoint, tensors }).filter((name) => name.startsWith('mtp.'))
  expect(mtp.slice(0, 1)).toEqual(['mtp.fc.weight'])
  expect(mtp[1]).toBe('mtp.layers.0.input_layernorm.weight')
  expect(mtp.at(-1)).toBe('mtp.layers.0.mlp.shared_expert_gate.weight')
})

function headerCheckpointModel(
  checkpoint: ReturnType<typeof headerCheckpoint>['checkpoint'],
): readonly string[] {
  return recogniseModel(checkpoint).exportOrder.flatMap(names)
}

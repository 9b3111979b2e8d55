/** Damages of names, headers, lists and configurations; each breaks exactly one rule. */
import {
  EXPERT,
  FULL,
  LAYER,
  NORM,
  ROUTER,
  declareMixed,
  encode,
  remove,
  rename,
  same,
  setGroupSize,
  type Config,
  type Damage,
} from './damage.ts'

export const HEADER_DAMAGES: readonly Damage[] = [
  // index and shards
  {
    name: 'the index lists a tensor that no shard has',
    rule: 'index.resolvable',
    damage: (copy) => {
      copy.index((map) => {
        map['model.language_model.layers.9.nothing.weight'] = Object.values(map)[0] ?? ''
      })
    },
  },
  {
    name: 'the index names the wrong shard',
    rule: 'index.resolvable',
    damage: (copy) => {
      copy.index((map) => {
        const other = Object.values(map).find((shard) => shard !== map[NORM])
        map[NORM] = other ?? ''
      })
    },
  },
  {
    name: 'a shard is missing',
    rule: 'index.resolvable',
    damage: (copy) => void copy.files.delete(copy.shardOf(NORM)),
  },
  {
    name: 'the shard of the vision tower is missing',
    rule: 'index.resolvable',
    damage: (copy) => {
      for (const name of copy.names(/^model\.visual\./)) copy.files.delete(copy.shardOf(name))
    },
  },
  {
    name: 'a tensor is in a shard but not in the index',
    rule: 'index.complete',
    damage: (copy) => {
      copy.index((map) => void Reflect.deleteProperty(map, NORM))
    },
  },
  {
    name: 'a weight file that the index does not know',
    rule: 'index.complete',
    damage: (copy) => void copy.files.set('extra.safetensors', encode('')),
  },
  {
    name: 'total_size is wrong',
    rule: 'index.total-size',
    damage: (copy) => {
      copy.index((_, metadata) => {
        metadata['total_size'] = Number(metadata['total_size']) + 2
      })
    },
  },
  // configuration
  {
    name: 'no quantization is declared',
    rule: 'config.declared',
    damage: (copy) => {
      copy.files.delete('hf_quant_config.json')
      copy.json('config.json', ({ quantization_config: _, ...rest }) => rest)
    },
  },
  {
    name: 'an unknown algorithm',
    rule: 'config.declared',
    damage: (copy) => {
      const change = (config: Config): void => void (config['quant_algo'] = 'NVFP3')
      copy.configs(change, change)
    },
  },
  {
    name: 'the algorithms differ',
    rule: 'config.agree',
    damage: (copy) => {
      copy.configs(same, (nested) => void (nested['quant_algo'] = 'FP8'))
    },
  },
  {
    name: 'the KV cache formats differ',
    rule: 'config.agree',
    damage: (copy) => {
      copy.configs(same, (nested) => void (nested['kv_cache_quant_algo'] = 'NVFP4'))
    },
  },
  {
    name: 'one exclude list lacks an entry',
    rule: 'config.agree',
    damage: (copy) => {
      copy.configs(same, (nested) => void (nested['exclude_modules'] as string[]).shift())
    },
  },
  {
    name: 'the block sizes of the files differ',
    rule: 'config.agree',
    damage: (copy) => {
      copy.configs(same, (nested) => void (nested['group_size'] = 32))
    },
  },
  {
    name: 'the block sizes within config.json differ',
    rule: 'config.agree',
    damage: (copy) => {
      copy.configs((flat) => void (flat['group_size'] = 32), same)
    },
  },
  {
    name: 'both files declare another block size',
    rule: 'config.group-size',
    damage: (copy) => {
      const change = (config: Config): void => {
        setGroupSize(config, 32)
      }
      copy.configs(change, change)
    },
  },
  {
    name: 'a key that readers demand is missing',
    rule: 'config.nested-keys',
    damage: (copy) => {
      copy.configs(same, (nested) => void Reflect.deleteProperty(nested, 'group_size'))
    },
  },
  {
    name: 'cache scales without a declared cache format',
    rule: 'config.kv-scales',
    damage: (copy) => {
      copy.configs(
        (flat) => void Reflect.deleteProperty(flat, 'kv_cache_scheme'),
        (nested) => void (nested['kv_cache_quant_algo'] = null),
      )
    },
  },
  {
    name: 'one cache scale is missing',
    rule: 'config.kv-scales',
    damage: (copy) => {
      copy.replace([`${FULL}.v_proj.v_scale`], remove)
    },
  },
  {
    name: 'mixed precision inside a fused group',
    rule: 'config.fused-formats',
    damage: (copy) => {
      declareMixed(copy, (layers) => {
        layers[`${LAYER}.0.linear_attn.in_proj_z`] = { quant_algo: 'W4A16_NVFP4', group_size: 16 }
      })
    },
  },
  {
    name: 'a precision map names a module that does not exist',
    rule: 'config.layers-known',
    damage: (copy) => {
      declareMixed(copy, (layers) => {
        layers[`${LAYER}.7.self_attn.o_proj`] = { quant_algo: 'NVFP4', group_size: 16 }
      })
    },
  },
  // exclude list
  {
    name: 'lm_head is not excluded',
    rule: 'ignore.exact',
    damage: (copy) => {
      copy.ignore((entries) => entries.filter((entry) => !entry.startsWith('lm_head')))
    },
  },
  {
    name: 'a router is not excluded',
    rule: 'ignore.exact',
    damage: (copy) => {
      copy.ignore((entries) => entries.filter((entry) => entry !== `${LAYER}.2.mlp.gate`))
    },
  },
  {
    name: 'the MTP block is not excluded',
    rule: 'ignore.exact',
    damage: (copy) => {
      copy.ignore((entries) => entries.filter((entry) => !entry.startsWith('mtp')))
    },
  },
  {
    name: 'a quantized module is excluded',
    rule: 'ignore.exact',
    damage: (copy) => {
      copy.ignore((entries) => [...entries, `${LAYER}.0.mlp.shared_expert.down_proj`])
    },
  },
  // names
  {
    name: 'the weight of one expert is missing',
    rule: 'names.exact',
    damage: (copy) => {
      copy.replace([`${EXPERT}.up_proj.weight`], remove)
    },
  },
  {
    name: 'the block scales of one expert are missing',
    rule: 'names.exact',
    damage: (copy) => {
      copy.replace([`${EXPERT}.down_proj.weight_scale`], remove)
    },
  },
  {
    name: 'the input scale of one expert is missing',
    rule: 'names.exact',
    damage: (copy) => {
      copy.replace([`${EXPERT}.gate_proj.input_scale`], remove)
    },
  },
  {
    name: 'a whole expert is missing',
    rule: 'names.exact',
    damage: (copy) => {
      copy.replace(copy.names(/layers\.1\.mlp\.experts\.5\./), remove)
    },
  },
  {
    name: 'a scale is misspelt',
    rule: 'names.exact',
    damage: (copy) => {
      copy.replace([`${EXPERT}.up_proj.weight_scale_2`], rename('weight_scale_2', 'weight_scale2'))
    },
  },
  {
    name: 'a norm is missing',
    rule: 'names.exact',
    damage: (copy) => {
      copy.replace([NORM], remove)
    },
  },
  {
    name: 'a surplus expert',
    rule: 'names.exact',
    damage: (copy) => {
      copy.replace([`${EXPERT}.up_proj.weight`], (tensor) => [
        tensor,
        { ...tensor, name: tensor.name.replace('experts.5', 'experts.32') },
      ])
    },
  },
  {
    name: 'fused experts beside single ones',
    rule: 'names.one-layout',
    damage: (copy) => {
      const shape = [32, 256, 256]
      const bytes = new Uint8Array(2 * 32 * 256 * 256)
      copy.replace([ROUTER], (tensor) => [
        tensor,
        { name: `${LAYER}.0.mlp.experts.gate_up_proj`, dtype: 'BF16', shape, bytes },
      ])
    },
  },
  // dtype, shape, bytes
  {
    name: 'block scales as U8',
    rule: 'tensor.dtype',
    damage: (copy) => {
      copy.replace([`${EXPERT}.up_proj.weight_scale`], (tensor) => [{ ...tensor, dtype: 'U8' }])
    },
  },
  {
    name: 'an input scale as I32',
    rule: 'tensor.dtype',
    damage: (copy) => {
      copy.replace([`${EXPERT}.up_proj.input_scale`], (tensor) => [{ ...tensor, dtype: 'I32' }])
    },
  },
  {
    name: 'a norm as U16',
    rule: 'tensor.dtype',
    damage: (copy) => {
      copy.replace([NORM], (tensor) => [{ ...tensor, dtype: 'U16' }])
    },
  },
  {
    name: 'a transposed packed weight',
    rule: 'tensor.shape',
    damage: (copy) => {
      copy.replace([`${EXPERT}.down_proj.weight`], (tensor) => [
        { ...tensor, shape: [...tensor.shape].reverse() },
      ])
    },
  },
  {
    name: 'a scalar scale with one dimension',
    rule: 'tensor.shape',
    damage: (copy) => {
      copy.replace([`${EXPERT}.down_proj.weight_scale_2`], (tensor) => [{ ...tensor, shape: [1] }])
    },
  },
  {
    name: 'a router of another shape',
    rule: 'tensor.shape',
    damage: (copy) => {
      copy.replace([ROUTER], (tensor) => [{ ...tensor, shape: [16, 512] }])
    },
  },
  {
    name: 'the experts of a layer stayed BF16',
    rule: 'bytes.expected',
    damage: (copy) => {
      const names = copy.names(/layers\.2\.mlp\.experts\./)
      copy.replace(names, (tensor) => {
        if (!tensor.name.endsWith('.weight')) return []
        const [rows = 0, packed = 0] = tensor.shape
        const bytes = new Uint8Array(rows * packed * 4)
        return [{ ...tensor, dtype: 'BF16', shape: [rows, packed * 2], bytes }]
      })
    },
  },
]

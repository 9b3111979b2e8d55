/** Damages of values and of what is carried over; each breaks exactly one rule. */
import {
  EXPERT,
  FULL,
  LAYER,
  MTP,
  NORM,
  ROUTER,
  VISION,
  blockWithValues,
  encode,
  flip,
  remove,
  setByte,
  setFloat,
  swapTensors,
  type Config,
  type Damage,
} from './damage.ts'

export const VALUE_DAMAGES: readonly Damage[] = [
  // scale values
  {
    name: 'a tensor scale is NaN',
    rule: 'scale.nan',
    damage: (copy) => {
      copy.scalar(`${EXPERT}.up_proj.weight_scale_2`, setFloat(Number.NaN))
    },
  },
  {
    name: 'an input scale is infinite',
    rule: 'scale.nan',
    damage: (copy) => {
      copy.scalar(`${EXPERT}.down_proj.input_scale`, setFloat(Infinity))
    },
  },
  {
    name: 'a block scale is the byte 0x7F',
    rule: 'scale.nan',
    damage: (copy) => {
      copy.poke(`${EXPERT}.up_proj.weight_scale`, setByte(77, 0x7f))
    },
  },
  {
    name: 'a block scale is the byte 0xFF',
    rule: 'scale.nan',
    damage: (copy) => {
      copy.poke(`${EXPERT}.up_proj.weight_scale`, setByte(0, 0xff))
    },
  },
  {
    name: 'a tensor scale is zero',
    rule: 'scale.positive',
    damage: (copy) => {
      copy.scalar(`${EXPERT}.up_proj.weight_scale_2`, setFloat(0))
    },
  },
  {
    name: 'an input scale is zero',
    rule: 'scale.positive',
    damage: (copy) => {
      copy.scalar(`${FULL}.q_proj.input_scale`, setFloat(0))
    },
  },
  {
    name: 'an input scale is negative',
    rule: 'scale.positive',
    damage: (copy) => {
      copy.scalar(`${EXPERT}.down_proj.input_scale`, (value) => -value)
    },
  },
  {
    name: 'a block scale is negative',
    rule: 'scale.positive',
    damage: (copy) => {
      copy.poke(`${EXPERT}.down_proj.weight_scale`, (bytes) => {
        bytes[3] = (bytes[3] ?? 0) | 0x80
      })
    },
  },
  {
    name: 'a block with values has a zero scale',
    rule: 'scale.zero-block',
    damage: (copy) => {
      const block = blockWithValues(copy, `${EXPERT}.gate_proj`)
      copy.poke(`${EXPERT}.gate_proj.weight_scale`, setByte(block, 0))
    },
  },
  {
    name: 'gate and up have different tensor scales',
    rule: 'scale.gate-up',
    damage: (copy) => {
      copy.scalar(`${EXPERT}.up_proj.weight_scale_2`, (value) => value * 2)
    },
  },
  {
    name: 'gate and up have different input scales',
    rule: 'scale.gate-up',
    damage: (copy) => {
      copy.scalar(`${EXPERT}.gate_proj.input_scale`, (value) => value * 1.5)
    },
  },
  {
    name: 'q, k and v have different tensor scales',
    rule: 'scale.group',
    damage: (copy) => {
      copy.scalar(`${FULL}.k_proj.weight_scale_2`, (value) => value / 2)
    },
  },
  {
    name: 'shared gate and up have different input scales',
    rule: 'scale.group',
    damage: (copy) => {
      copy.scalar(`${LAYER}.0.mlp.shared_expert.up_proj.input_scale`, (value) => value * 2)
    },
  },
  {
    name: 'a norm holds a NaN',
    rule: 'weight.finite',
    damage: (copy) => {
      copy.poke(NORM, (bytes) => {
        bytes.set([0xc0, 0x7f], 8)
      })
    },
  },
  // carried blocks
  {
    name: 'an MTP tensor is lost',
    rule: 'carried.mtp',
    damage: (copy) => {
      copy.replace([MTP], remove)
    },
  },
  {
    name: 'the MTP block is lost',
    rule: 'carried.mtp',
    damage: (copy) => {
      copy.replace(copy.names(/^mtp\./), remove)
    },
  },
  {
    name: 'a byte of the MTP block is flipped',
    rule: 'carried.mtp',
    needsSource: true,
    damage: (copy) => {
      copy.poke(MTP, flip(100))
    },
  },
  {
    name: 'a tensor of a vision block is lost',
    rule: 'carried.vision',
    damage: (copy) => {
      copy.replace([VISION], remove)
    },
  },
  {
    name: 'the vision tower is lost',
    rule: 'carried.vision',
    damage: (copy) => {
      copy.replace(copy.names(/^model\.visual\./), remove)
    },
  },
  {
    name: 'a vision tensor outside the blocks is lost',
    rule: 'carried.vision',
    needsSource: true,
    damage: (copy) => {
      copy.replace(copy.names(/^model\.visual\.patch_embed\.proj\.bias$/), remove)
    },
  },
  {
    name: 'a byte of the vision tower is flipped',
    rule: 'carried.vision',
    needsSource: true,
    damage: (copy) => {
      copy.poke(VISION, flip(4))
    },
  },
  // against the source
  {
    name: 'the configuration is of another model',
    rule: 'source.model',
    needsSource: true,
    damage: (copy) => {
      copy.json('config.json', (json) => {
        ;(json['text_config'] as Config)['num_experts_per_tok'] = 2
        return json
      })
    },
  },
  {
    name: 'a router weight differs',
    rule: 'source.unquantized',
    needsSource: true,
    damage: (copy) => {
      copy.poke(ROUTER, flip(10))
    },
  },
  {
    name: 'one code is the neighbour of the right one',
    rule: 'source.error',
    needsSource: true,
    damage: (copy) => {
      // 6 and 4 are two steps apart: the largest value of a block becomes a third smaller.
      copy.poke(`${EXPERT}.up_proj.weight`, (bytes) => {
        const at = bytes.findIndex((pair) => (pair & 7) === 7)
        bytes[at] = (bytes[at] ?? 0) - 1
      })
    },
  },
  {
    name: 'two experts have changed places',
    rule: 'source.error',
    needsSource: true,
    damage: (copy) => {
      for (const part of ['weight', 'weight_scale', 'weight_scale_2']) {
        swapTensors(copy, `${EXPERT}.down_proj.${part}`, `${LAYER}.1.mlp.experts.6.down_proj.${part}`)
      }
    },
  },
  {
    name: 'nibbles are swapped',
    rule: 'source.error',
    needsSource: true,
    damage: (copy) => {
      copy.poke(`${EXPERT}.down_proj.weight`, (bytes) => {
        bytes.forEach((pair, at) => {
          bytes[at] = (pair >> 4) | ((pair & 15) << 4)
        })
      })
    },
  },
  {
    name: 'scale and codes of a block are right for half the values',
    rule: 'source.error',
    needsSource: true,
    damage: (copy) => {
      copy.scalar(`${FULL}.o_proj.weight_scale_2`, (value) => value / 2)
    },
  },
  {
    name: 'the tokenizer is missing',
    rule: 'source.side-files',
    needsSource: true,
    damage: (copy) => void copy.files.delete('tokenizer.json'),
  },
  {
    name: 'the chat template differs',
    rule: 'source.side-files',
    needsSource: true,
    damage: (copy) => void copy.files.set('chat_template.jinja', encode('{{ messages }}')),
  },
  {
    name: 'a processor file differs in one byte of equal length',
    rule: 'source.side-files',
    needsSource: true,
    damage: (copy) => {
      const bytes = copy.files.get('preprocessor_config.json')?.slice() ?? new Uint8Array(0)
      bytes[bytes.length - 3] = (bytes[bytes.length - 3] ?? 0) ^ 1
      copy.files.set('preprocessor_config.json', bytes)
    },
  },
]

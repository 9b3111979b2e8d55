/** Every parser of bytes that come from outside, in one list. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAmaxDump } from '../../main/engine/calibration/amax-dump.ts'
import { loadCalibrationData } from '../../main/engine/calibration/data/load-calibration-data.ts'
import { readTokenMatrix } from '../../main/engine/calibration/data/read-token-matrix.ts'
import type { Checkpoint } from '../../main/engine/checkpoint/checkpoint.ts'
import { openCheckpoint } from '../../main/engine/checkpoint/open-checkpoint.ts'
import { parseShardHeader, readHeaderLength } from '../../main/engine/formats/safetensors/parse-header.ts'
import { parseIndex } from '../../main/engine/formats/safetensors/parse-index.ts'
import { NodeCheckpointFolder } from '../../main/engine/io/node/checkpoint-folder.ts'
import { decodeUtf8, parseJsonObject } from '../../main/engine/formats/hf-config/lossless-json.ts'
import { recogniseModel } from '../../main/engine/models/recognise-model.ts'
import { parseRecipe } from '../../main/engine/recipes/parse-recipe.ts'
import { parseSmoothingRecord } from '../../main/engine/smoothing/smoothing-record.ts'
import { CheckpointTokenizer } from '../../main/engine/tokenizer/checkpoint-tokenizer.ts'
import { verifyExport } from '../../main/engine/verify/verify-export.ts'
import { readJournal } from '../../main/host/jobs/journal.ts'
import { parseReceipt } from '../../main/host/receipt/read-receipt.ts'
import { MemoryFolder } from '../fakes/memory-folder.ts'
import { bf16Shard, rawShard } from '../tools/safetensors-bytes.ts'
import { SAMPLE } from '../tools/sample-path.ts'
import { temporaryFolder } from '../tools/temporary-folder.ts'
import type { Random } from './mutate.ts'
import { httpTarget, ipcTarget } from './request-targets.ts'
import { decode, encode, type FuzzTarget } from './target.ts'
import { TINY_TOKENIZER } from './tiny-tokenizer.ts'

const DIGEST = 'a'.repeat(64)

export async function fuzzTargets(): Promise<readonly FuzzTarget[]> {
  const config = new Uint8Array(await readFile(join(SAMPLE, 'config.json')))
  const folder = await temporaryFolder()
  return [
    safetensors(),
    index(),
    jsonConfig(config, await openCheckpoint(new NodeCheckpointFolder(SAMPLE))),
    exportConfig(config),
    tokenizer(),
    chatTemplate(),
    recipe(),
    jsonl(),
    tokenIds(),
    amaxDump(),
    smoothingRecord(),
    journal(join(folder, 'journal.jsonl')),
    receipt(),
    await ipcTarget(),
    await httpTarget(),
  ]
}

/** Writes the length of the JSON into the first eight bytes, as a writer would: the header reaches the JSON parser. */
function withHeaderLength(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  if (bytes.length < 9) return bytes
  const end = bytes.lastIndexOf(0x7d) + 1
  const length = random() < 0.9 ? Math.max(0, end - 8) : Math.floor(random() * 2 * bytes.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  return bytes
}

function safetensors(): FuzzTarget {
  return {
    name: 'safetensors',
    kinds: ['data'],
    seeds: [
      bf16Shard({ 'a.weight': [2, 3], b: [1], 'c.d': [] }),
      rawShard('{"__metadata__":{"format":"pt"}}', 0),
    ],
    repair: withHeaderLength,
    run(bytes) {
      readHeaderLength(bytes.subarray(0, 8), 'a', bytes.length)
      const { tensors } = parseShardHeader(bytes, 'a', bytes.length)
      for (const { endBytes } of tensors) if (endBytes > bytes.length) throw new Error('outside of the file')
      return 'parsed'
    },
  }
}

function index(): FuzzTarget {
  const seed =
    '{"metadata":{"total_size":12},"weight_map":{"a.weight":"model-1.safetensors","b":"model-2.safetensors"}}'
  return {
    name: 'index',
    kinds: ['data'],
    seeds: [encode(seed)],
    run(bytes) {
      for (const name of parseIndex(decodeUtf8(bytes, 'a', 'INDEX_INVALID'), 'a').values())
        if (/[/\\\0]/.test(name) || name === '..') throw new Error(`a path was accepted: ${name}`)
      return 'parsed'
    },
  }
}

/** config.json of a checkpoint, with the headers of the sample. */
function jsonConfig(config: Uint8Array, sample: Checkpoint): FuzzTarget {
  return {
    name: 'json-config',
    kinds: ['data', 'unsupported'],
    seeds: [config],
    run(bytes) {
      recogniseModel({ ...sample, config: parseJsonObject(bytes, 'config.json') })
      return 'recognised'
    },
  }
}

/** The quantization description of an export, in both dialects, up to a verification report. */
function exportConfig(config: Uint8Array): FuzzTarget {
  const base = JSON.parse(decode(config)) as Record<string, Record<string, unknown>>
  Object.assign(base['text_config'] ?? {}, {
    num_experts: 2,
    num_experts_per_tok: 1,
    num_hidden_layers: 1,
    layer_types: ['full_attention'],
  })
  const described = (quantization: unknown): Uint8Array =>
    encode(JSON.stringify({ ...base, quantization_config: quantization }))
  const shard = bf16Shard({ 'model.language_model.norm.weight': [256], 'mtp.fc.weight': [4, 8] })
  const weights = { num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16 }
  const group = { targets: ['Linear', 're:.*mlp.*'], weights, format: 'nvfp4-pack-quantized' }
  return {
    name: 'export-config',
    kinds: ['data', 'unsupported'],
    seeds: [
      described({
        quant_method: 'modelopt',
        quant_algo: 'NVFP4',
        group_size: 16,
        ignore: ['lm_head', 'mtp*'],
      }),
      described({
        quant_method: 'modelopt',
        quant_algo: 'MIXED_PRECISION',
        quantized_layers: { lm_head: { quant_algo: 'FP8' } },
      }),
      described({
        quant_method: 'compressed-tensors',
        config_groups: { group_0: group },
        ignore: ['re:.*gate$', 'lm_head'],
      }),
    ],
    async run(bytes) {
      const folder = new MemoryFolder({ 'config.json': bytes, 'model.safetensors': shard })
      return (await verifyExport(folder)).isSound ? 'sound' : 'not sound'
    },
  }
}

function tokenizer(): FuzzTarget {
  return {
    name: 'tokenizer',
    kinds: ['data'],
    seeds: [encode(JSON.stringify(TINY_TOKENIZER))],
    run(bytes) {
      const made = CheckpointTokenizer.create({
        tokenizer: bytes,
        config: undefined,
        chatTemplate: undefined,
      })
      return made.encode('hello world, 12').length > 0 ? 'encoded' : 'empty'
    },
  }
}

function chatTemplate(): FuzzTarget {
  const files = { tokenizer: encode(JSON.stringify(TINY_TOKENIZER)), config: undefined }
  return {
    name: 'chat-template',
    kinds: ['data', 'input'],
    seeds: [
      encode(
        '{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% if not loop.last %}\n{% endif %}{% endfor %}',
      ),
      encode(
        "{%- set ns = namespace(a=0) -%}{% macro f(x) %}{{ x ~ 'a' }}{% endmacro %}{% for i in range(3) %}{{ f(i) }}{% endfor %}",
      ),
    ],
    run(bytes) {
      const made = CheckpointTokenizer.create({ ...files, chatTemplate: bytes })
      made.renderChat(
        [
          { role: 'user', content: 'hello' },
          { role: 'assistant', content: 'world' },
        ],
        'a',
      )
      return 'rendered'
    },
  }
}

function recipe(): FuzzTarget {
  return {
    name: 'recipe',
    kinds: ['input', 'data', 'unsupported'],
    seeds: [],
    run(bytes) {
      parseRecipe('a', decode(bytes))
      return 'parsed'
    },
  }
}

function jsonl(): FuzzTarget {
  const template = encode('{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}')
  const files = {
    tokenizer: encode(JSON.stringify(TINY_TOKENIZER)),
    config: undefined,
    chatTemplate: template,
  }
  return {
    name: 'jsonl',
    kinds: ['input', 'data'],
    seeds: [encode('{"text":"hello world"}\n\n{"messages":[{"role":"user","content":"hello"}],"id":3}\n')],
    run(bytes) {
      const input = { kind: 'jsonl', name: 'a.jsonl', bytes } as const
      loadCalibrationData({
        input,
        tokenizer: files,
        separatorId: 0,
        vocabSize: 300,
        samples: 2,
        sequenceLength: 4,
      })
      return 'loaded'
    },
  }
}

function tokenIds(): FuzzTarget {
  const header = '{"input_ids":{"dtype":"I32","shape":[2,3],"data_offsets":[0,24]}}'
  return {
    name: 'token-ids',
    kinds: ['input', 'data'],
    seeds: [rawShard(header, 24), rawShard(header.replace('I32', 'I64').replace('24]', '48]'), 48)],
    repair: withHeaderLength,
    run(bytes) {
      const { ids } = readTokenMatrix('a', bytes, { vocabSize: 100, samples: 8 })
      if (ids.some((id) => id < 0 || id >= 100))
        throw new Error('an id outside of the vocabulary was accepted')
      return 'read'
    },
  }
}

/** The data are zeros, which no vector may hold: values of 1.0 are written over them. */
function smoothingRecord(): FuzzTarget {
  const seed = rawShard(
    '{"a.norm":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a.norm.estimate":{"dtype":"F64","shape":[1,3],"data_offsets":[8,32]},"statistics":{"dtype":"U8","shape":[2],"data_offsets":[32,34]}}',
    34,
  )
  new DataView(seed.buffer).setFloat32(seed.length - 34, 1, true)
  new DataView(seed.buffer).setFloat32(seed.length - 30, 1, true)
  return {
    name: 'smoothing-record',
    kinds: ['input', 'data'],
    seeds: [seed],
    repair: withHeaderLength,
    run(bytes) {
      parseSmoothingRecord('smoothing.safetensors', bytes)
      return 'parsed'
    },
  }
}

function amaxDump(): FuzzTarget {
  return {
    name: 'amax',
    kinds: ['input', 'data'],
    seeds: [
      encode(
        '{"a.input_quantizer":{"dtype":"bfloat16","shape":[2],"value":[1.5,2]},"b":{"dtype":"float32","shape":[],"value":[3]}}',
      ),
      rawShard('{"a.input_quantizer":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8),
    ],
    repair: withHeaderLength,
    run(bytes) {
      parseAmaxDump(bytes[0] === 0x7b ? 'a.json' : 'a.safetensors', bytes)
      return 'parsed'
    },
  }
}

function journal(path: string): FuzzTarget {
  const result = {
    hashes: [{ tensor: 3, sha256: DIGEST }],
    sources: [DIGEST],
    deadWeights: [{ name: 'a', outcome: 'repaired' }],
    bytesRead: 8,
    bytesWritten: 4,
  }
  return {
    name: 'journal',
    kinds: ['data'],
    seeds: [
      encode(
        `{"schema":1,"identity":{"version":"0.1.0"}}\n{"task":0,"result":${JSON.stringify(result)}}\n{"task":1`,
      ),
    ],
    async run(bytes) {
      await writeFile(path, bytes)
      const read = await readJournal(path)
      return read === undefined ? 'none' : `${String(read.tasks.size)} tasks`
    },
  }
}

function receipt(): FuzzTarget {
  const shards = [{ fileName: 'a', fileSizeBytes: 9, headerSha256: DIGEST }]
  return {
    name: 'receipt',
    kinds: ['data'],
    seeds: [
      encode(
        JSON.stringify({
          schema: 2,
          recipe: { sha256: DIGEST },
          source: { shards },
          files: { a: DIGEST },
          sourceRanges: { 'a:8+1': DIGEST },
          tensors: { a: DIGEST },
        }),
      ),
    ],
    run(bytes) {
      parseReceipt(bytes)
      return 'parsed'
    },
  }
}

/** Laws of the reader: any bytes succeed or fail as data, and what is written is read back. */
import { expect, test } from 'vitest'
import { buildShardHeader } from '../../../../../main/engine/formats/safetensors/build-header.ts'
import { parseShardHeader } from '../../../../../main/engine/formats/safetensors/parse-header.ts'
import { parseIndex } from '../../../../../main/engine/formats/safetensors/parse-index.ts'
import { parseJson, stringifyLikePython } from '../../../../../main/engine/formats/hf-config/lossless-json.ts'
import { DTYPE_BITS, isDtype } from '../../../../../shared/domain/dtype.ts'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { rawShard } from '../../../../tools/safetensors-bytes.ts'
import { fc, runs } from '../../../../tools/properties.ts'

const dtype = fc.constantFrom(...Object.keys(DTYPE_BITS).filter(isDtype))
const name = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => text !== '__metadata__')
const tensors = fc.uniqueArray(fc.record({ name, dtype, shape: fc.array(fc.nat(5), { maxLength: 4 }) }), {
  selector: (tensor) => tensor.name,
  maxLength: 12,
})

/** True when it succeeded; false for a `data` error; everything else is thrown. */
function succeeds(action: () => unknown): boolean {
  try {
    action()
    return true
  } catch (error: unknown) {
    if (error instanceof AppError && error.kind === 'data') return false
    throw error
  }
}

test('a written header is read back and covers the file', () => {
  fc.assert(
    fc.property(tensors, (list) => {
      const { header, offsets, dataStartBytes, fileSizeBytes } = buildShardHeader(list)
      const parsed = parseShardHeader(header, 'a', fileSizeBytes)
      expect(parsed.dataStartBytes).toBe(dataStartBytes)
      expect(new Map(parsed.tensors.map((tensor) => [tensor.name, tensor]))).toEqual(
        new Map(list.map((tensor) => [tensor.name, { ...tensor, ...offsets.get(tensor.name) }])),
      )
    }),
    runs(200),
  )
})

test('any bytes give a header or a data error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(200), (bytes, sizeBytes) => {
      succeeds(() => parseShardHeader(bytes, 'a', sizeBytes))
    }),
    runs(500),
  )
})

test('any JSON-like text gives a header or a data error, and an accepted one stays inside the file', () => {
  const fragment = fc.constantFrom(
    '{', '}', '[', ']', ':', ',', '"a"', '"__metadata__"', '"dtype"', '"shape"', '"data_offsets"', '"U8"', '0', '1', '-1', '1e9',
    '9007199254740993', ' ', '\\', '"', '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}', 'null',
  ) // prettier-ignore
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 24 }), fc.nat(4), (parts, dataBytes) => {
      const file = rawShard(`{${parts.join('')}`, dataBytes)
      succeeds(() => {
        for (const { endBytes } of parseShardHeader(file, 'a', file.length).tensors) {
          expect(endBytes).toBeLessThanOrEqual(dataBytes)
        }
      })
      succeeds(() => parseIndex(parts.join(''), 'a'))
      succeeds(() => parseJson(parts.join(''), 'a'))
    }),
    runs(500),
  )
})

test('a valid file with one byte changed is accepted or refused, never misread', () => {
  fc.assert(
    fc.property(tensors, fc.nat(), fc.nat(255), (list, position, value) => {
      const { header, fileSizeBytes } = buildShardHeader(list)
      header[position % header.length] = value
      succeeds(() => {
        const { tensors: parsed, dataStartBytes } = parseShardHeader(header, 'a', fileSizeBytes)
        const covered = parsed.reduce((sum, { beginBytes, endBytes }) => sum + endBytes - beginBytes, 0)
        expect(dataStartBytes + covered).toBe(fileSizeBytes)
      })
    }),
    runs(500),
  )
})

test('JSON values survive a rewrite', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const text = JSON.stringify(value)
      expect(JSON.parse(stringifyLikePython(parseJson(text, 'a'), 4))).toEqual(JSON.parse(text))
    }),
    runs(200),
  )
})

import { describe, expect, it } from 'vitest'
import type {
  OutputPlace,
  SourceBytes,
  WorkerMember,
  WorkerTask,
} from '../../../../main/workers/export-protocol.ts'
import { largestTaskMemory, taskMemory } from '../../../../main/workers/task-memory.ts'

const MIB = 1024 * 1024

function file(sizeBytes: number): SourceBytes {
  return { kind: 'file', descriptor: -1, offsetBytes: 0, sizeBytes }
}

function place(sizeBytes: number, transform?: OutputPlace['transform']): OutputPlace {
  return { name: 'w', index: 0, descriptor: -1, offsetBytes: 0, sizeBytes, transform }
}

function nvfp4Member(rows: number, cols: number, dtype: WorkerMember['dtype'] = 'BF16'): WorkerMember {
  const elements = rows * cols
  return {
    sourceName: 'w',
    source: file(elements * (dtype === 'F32' ? 4 : 2)),
    dtype,
    rows,
    cols,
    weight: place(elements / 2),
    weightScale: place(elements / 16),
    weightScale2: place(4),
  }
}

function quantize(...members: WorkerMember[]): WorkerTask {
  const format = { format: 'nvfp4', blockSize: 16, inputScale: undefined } as const
  return { kind: 'quantize', format, profile: 'hardened', searchesAlone: false, members }
}

function copy(sizeBytes: number, output: OutputPlace, convertTo?: 'BF16'): WorkerTask {
  return { kind: 'copy', sourceName: 'w', source: file(sizeBytes), dtype: 'BF16', output, convertTo }
}

describe('taskMemory', () => {
  it('holds all members of a resident task and one encoded member at a time', () => {
    expect(taskMemory(quantize(nvfp4Member(512, 2048), nvfp4Member(512, 2048)))).toEqual({
      inputBytes: 4 * MIB,
      outputBytes: MIB / 2 + MIB / 16,
    })
  })

  it('cuts a matrix that is too large to stay into chunks of 32 MiB', () => {
    expect(taskMemory(quantize(nvfp4Member(65536, 4096))).inputBytes).toBe(32 * MIB)
  })

  it('streams F32, whose BF16 values need a region of their own', () => {
    expect(taskMemory(quantize(nvfp4Member(128, 64, 'F32')))).toEqual({
      inputBytes: 32768,
      outputBytes: 32768,
    })
  })

  it('keeps halves whose tiles hold rows of both, whatever their size and dtype', () => {
    const half = (startRow: number): WorkerMember => ({
      ...nvfp4Member(8064 + 64, 16384, 'F32'),
      weight: place(8128 * 16384),
      weightScale: place(64 * 128 * 4),
      weightScale2: undefined,
      fused: { startRow, totalRows: 2 * 8128 },
    })
    expect(taskMemory(quantize(half(0), half(8128)))).toEqual({
      // Both as BF16, and one of them as F32 behind.
      inputBytes: 2 * 254 * MIB + 508 * MIB,
      outputBytes: 254 * MIB,
    })
    // Without conversion the encoded half is the largest output: all of its rows, not as many as a chunk has.
    const plain = { ...half(0), dtype: 'BF16' } as const
    expect(taskMemory(quantize(plain)).outputBytes).toBe(127 * MIB + 32768)
  })

  it('claims no output for bytes that are written as they were read', () => {
    expect(taskMemory(copy(1000, place(1000)))).toEqual({ inputBytes: 1000, outputBytes: 0 })
  })

  it('claims twice the bytes for values that are widened', () => {
    expect(taskMemory(copy(1000, place(2000, 'widen_bf16')))).toEqual({ inputBytes: 1000, outputBytes: 2000 })
  })

  it('copies a large tensor in chunks of 32 MiB', () => {
    expect(taskMemory(copy(1024 * MIB, place(1024 * MIB))).inputBytes).toBe(32 * MIB)
  })
})

describe('largestTaskMemory', () => {
  it('takes each region from the task that needs most of it', () => {
    const tasks = [copy(4000, place(4000)), copy(100, place(200, 'widen_bf16'))]
    expect(largestTaskMemory(tasks)).toEqual({ inputBytes: 4000, outputBytes: 200 })
  })

  it('is nothing without tasks', () => {
    expect(largestTaskMemory([])).toEqual({ inputBytes: 0, outputBytes: 0 })
  })
})

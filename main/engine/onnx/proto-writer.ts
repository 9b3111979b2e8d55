/**
 * Serialises an ONNX model with the protobuf wire writer, no generated code. Only the messages our graphs use. Source: onnx.proto
 * (field numbers in the comments), IR version 9.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

/** TensorProto.DataType. `float8` is E4M3FN: finite, one NaN per sign. */
export const ONNX_TYPE = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10, float8: 17 } as const
export type OnnxType = keyof typeof ONNX_TYPE

export type OnnxAttribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'ints'; readonly value: readonly number[] }

export interface OnnxNode {
  readonly name: string
  readonly opType: string
  /** '' is ai.onnx. */
  readonly domain: string
  /** '' marks an omitted optional input or output. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, OnnxAttribute>>
}

export interface OnnxInitializer {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array | BigInt64Array
}

export interface OnnxValueInfo {
  readonly name: string
  readonly type: OnnxType
  /** Text is a symbolic dimension; undefined leaves the shape to inference. */
  readonly shape: readonly (number | string)[] | undefined
}

export interface OnnxModel {
  readonly name: string
  /** Version of the ai.onnx operators; reduce operators take their axes as an input from 18 on. */
  readonly opset: number
  readonly nodes: readonly OnnxNode[]
  readonly initializers: readonly OnnxInitializer[]
  readonly inputs: readonly OnnxValueInfo[]
  readonly outputs: readonly OnnxValueInfo[]
}

const IR_VERSION = 9

/** Bytes of a ModelProto. */
export function encodeModel(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter()
  writer.tag(1, WireType.Varint).int64(IR_VERSION)
  writer.tag(2, WireType.LengthDelimited).string('quantmill')
  message(writer, 7, () => {
    writeGraph(writer, model)
  })
  for (const [domain, version] of [
    ['', model.opset],
    ['com.microsoft', 1],
  ] as const) {
    message(writer, 8, () => {
      writer.tag(1, WireType.LengthDelimited).string(domain)
      writer.tag(2, WireType.Varint).int64(version)
    })
  }
  return writer.finish()
}

function writeGraph(writer: BinaryWriter, model: OnnxModel): void {
  for (const node of model.nodes) {
    message(writer, 1, () => {
      writeNode(writer, node)
    })
  }
  writer.tag(2, WireType.LengthDelimited).string(model.name)
  for (const tensor of model.initializers) {
    message(writer, 5, () => {
      writeTensor(writer, tensor)
    })
  }
  for (const [field, values] of [
    [11, model.inputs],
    [12, model.outputs],
  ] as const) {
    for (const value of values) {
      message(writer, field, () => {
        writeValueInfo(writer, value)
      })
    }
  }
}

function writeNode(writer: BinaryWriter, node: OnnxNode): void {
  for (const name of node.inputs) writer.tag(1, WireType.LengthDelimited).string(name)
  for (const name of node.outputs) writer.tag(2, WireType.LengthDelimited).string(name)
  writer.tag(3, WireType.LengthDelimited).string(node.name)
  writer.tag(4, WireType.LengthDelimited).string(node.opType)
  for (const [name, attribute] of Object.entries(node.attributes)) {
    message(writer, 5, () => {
      writer.tag(1, WireType.LengthDelimited).string(name)
      writeAttribute(writer, attribute)
    })
  }
  if (node.domain !== '') writer.tag(7, WireType.LengthDelimited).string(node.domain)
}

/** AttributeProto: f=2 i=3 s=4 ints=8 type=20 (FLOAT 1, INT 2, STRING 3, INTS 7). */
function writeAttribute(writer: BinaryWriter, attribute: OnnxAttribute): void {
  const type = (code: number): void => {
    writer.tag(20, WireType.Varint).int32(code)
  }
  switch (attribute.kind) {
    case 'float':
      writer.tag(2, WireType.Bit32).float(attribute.value)
      type(1)
      return
    case 'int':
      writer.tag(3, WireType.Varint).int64(attribute.value)
      type(2)
      return
    case 'string':
      writer.tag(4, WireType.LengthDelimited).string(attribute.value)
      type(3)
      return
    case 'ints':
      for (const value of attribute.value) writer.tag(8, WireType.Varint).int64(value)
      type(7)
      return
  }
}

/** TensorProto: dims=1 data_type=2 name=8 raw_data=9 (little endian). */
function writeTensor(writer: BinaryWriter, { name, shape, data }: OnnxInitializer): void {
  for (const size of shape) writer.tag(1, WireType.Varint).int64(size)
  const type = data instanceof Float32Array ? 'float32' : data instanceof Int32Array ? 'int32' : 'int64'
  writer.tag(2, WireType.Varint).int32(ONNX_TYPE[type])
  writer.tag(8, WireType.LengthDelimited).string(name)
  writer.tag(9, WireType.LengthDelimited).bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
}

/** ValueInfoProto: name=1 type=2 {tensor_type=1 {elem_type=1 shape=2 {dim=1 {dim_value=1 | dim_param=2}}}}. */
function writeValueInfo(writer: BinaryWriter, { name, type, shape }: OnnxValueInfo): void {
  writer.tag(1, WireType.LengthDelimited).string(name)
  message(writer, 2, () => {
    message(writer, 1, () => {
      writer.tag(1, WireType.Varint).int32(ONNX_TYPE[type])
      if (shape === undefined) return
      message(writer, 2, () => {
        for (const size of shape) {
          message(writer, 1, () => {
            if (typeof size === 'number') writer.tag(1, WireType.Varint).int64(size)
            else writer.tag(2, WireType.LengthDelimited).string(size)
          })
        }
      })
    })
  })
}

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork()
  write()
  writer.join()
}

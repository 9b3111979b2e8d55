// Lossless and smaller: pictures of a window are flat, and deflate finds the repetitions of rows that are stored without a filter.
import { deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE_BYTES = 8
/** Filters of a row: PNG specification, section 9. */
const PREDICT = [
  () => 0,
  (left) => left,
  (_left, up) => up,
  (left, up) => (left + up) >> 1,
  (left, up, corner) => {
    const guess = left + up - corner
    const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)]
    if (a <= b && a <= c) return left
    return b <= c ? up : corner
  },
]

/** The same pixels; for 8-bit RGB or RGBA without interlace, as browsers write them. Every other picture comes back as it is. */
export function smallerPng(png) {
  const chunks = readChunks(png)
  const { data: head, raw: headChunk } = chunks.find(({ type }) => type === 'IHDR')
  const [width, height, depth, colour, interlace] = [
    head.readUInt32BE(0),
    head.readUInt32BE(4),
    head[8],
    head[9],
    head[12],
  ]
  const channels = { 2: 3, 6: 4 }[colour]
  if (depth !== 8 || interlace !== 0 || channels === undefined) return png
  const packed = Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data))
  const rows = withoutFilters(inflateSync(packed), width * channels, height, channels)
  const end = chunks.find(({ type }) => type === 'IEND').raw
  const body = chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 }))
  return Buffer.concat([png.subarray(0, SIGNATURE_BYTES), headChunk, body, end])
}

function readChunks(png) {
  const chunks = []
  for (let at = SIGNATURE_BYTES; at < png.length;) {
    const length = png.readUInt32BE(at)
    chunks.push({
      type: png.toString('latin1', at + 4, at + 8),
      data: png.subarray(at + 8, at + 8 + length),
      raw: png.subarray(at, at + 12 + length),
    })
    at += 12 + length
  }
  return chunks
}

/** Rows with their filter byte, which is 0 afterwards. */
function withoutFilters(filtered, rowBytes, height, channels) {
  const rows = Buffer.alloc(filtered.length)
  for (let y = 0; y < height; y += 1) {
    const at = y * (rowBytes + 1)
    const predict = PREDICT[filtered[at]]
    for (let x = 1; x <= rowBytes; x += 1) {
      const hasLeft = x > channels
      const left = hasLeft ? rows[at + x - channels] : 0
      const up = y > 0 ? rows[at + x - rowBytes - 1] : 0
      const corner = hasLeft && y > 0 ? rows[at + x - rowBytes - 1 - channels] : 0
      rows[at + x] = filtered[at + x] + predict(left, up, corner)
    }
  }
  return rows
}

function chunk(type, data) {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const bytes = Buffer.alloc(named.length + 8)
  bytes.writeUInt32BE(data.length, 0)
  named.copy(bytes, 4)
  bytes.writeUInt32BE(crc32(named), named.length + 4)
  return bytes
}

/** PNG specification, annex D. */
function crc32(bytes) {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}

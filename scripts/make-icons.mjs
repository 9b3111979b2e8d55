// Draws assets/icons/quantmill.svg in all sizes with Chromium and writes what each system wants: PNG files for Linux, .ico for Windows and
// .icns for macOS. Both containers may hold PNG files as they are. Run when the drawing changes; the results are committed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { root } from './lib/processes.mjs'
import { findBrowser } from './lib/system-packages.mjs'

const FOLDER = join(root, 'assets', 'icons')
const LINUX_SIZES = [16, 32, 48, 64, 128, 256, 512]
const ICO_SIZES = [16, 32, 48, 256]
/** Apple's types for PNG data by size. */
const ICNS_TYPES = { 128: 'ic07', 256: 'ic08', 512: 'ic09', 1024: 'ic10' }

const executablePath = findBrowser()
if (executablePath === undefined) {
  process.stderr.write('error ENVIRONMENT there is no Chromium (QUANTMILL_CHROMIUM)\n')
  process.exit(3)
}
const browser = await chromium.launch({
  executablePath,
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
})
const pictures = new Map()
try {
  const page = await browser.newPage()
  const drawing = readFileSync(join(FOLDER, 'quantmill.svg'), 'utf8')
  await page.setContent(`<style>body{margin:0}svg{display:block;width:100vw;height:100vh}</style>${drawing}`)
  for (const size of [...LINUX_SIZES, 1024]) {
    await page.setViewportSize({ width: size, height: size })
    pictures.set(size, await page.screenshot({ omitBackground: true }))
  }
} finally {
  await browser.close()
}
mkdirSync(join(FOLDER, 'linux'), { recursive: true })
for (const size of LINUX_SIZES)
  writeFileSync(join(FOLDER, 'linux', `${size}x${size}.png`), pictures.get(size))
writeFileSync(join(FOLDER, 'quantmill.ico'), ico())
writeFileSync(join(FOLDER, 'quantmill.icns'), icns())

/** Header, one entry of 16 bytes for each picture, then the pictures; a side of 256 is written as 0. */
function ico() {
  const head = Buffer.alloc(6 + 16 * ICO_SIZES.length)
  head.writeUInt16LE(1, 2)
  head.writeUInt16LE(ICO_SIZES.length, 4)
  let offset = head.length
  ICO_SIZES.forEach((size, index) => {
    const at = 6 + 16 * index
    head.writeUInt8(size % 256, at)
    head.writeUInt8(size % 256, at + 1)
    head.writeUInt16LE(1, at + 4)
    head.writeUInt16LE(32, at + 6)
    head.writeUInt32LE(pictures.get(size).length, at + 8)
    head.writeUInt32LE(offset, at + 12)
    offset += pictures.get(size).length
  })
  return Buffer.concat([head, ...ICO_SIZES.map((size) => pictures.get(size))])
}

/** `icns` and the length of the file, then type, length and picture for each; big endian. */
function icns() {
  const head = (type, length) => {
    const bytes = Buffer.alloc(8, type)
    bytes.writeUInt32BE(length, 4)
    return bytes
  }
  const parts = Object.entries(ICNS_TYPES).flatMap(([size, type]) => {
    const picture = pictures.get(Number(size))
    return [head(type, 8 + picture.length), picture]
  })
  const body = Buffer.concat(parts)
  return Buffer.concat([head('icns', 8 + body.length), body])
}

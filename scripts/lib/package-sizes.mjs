// What an unpacked package consists of, in bytes: Electron by its parts, our own code by its bundles, and what goes along with it.
import { closeSync, existsSync, lstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

/** Path inside the package -> what it is counted as; the first that matches wins. `app/` stands for the archive and what lies beside it. */
const PARTS = [
  [/^app\/out\/main\/.*\.worker\.js$/, 'own', 'worker threads'],
  [/^app\/out\/main\/kernels\.wasm$/, 'own', 'WASM kernels'],
  [/^app\/out\/main\//, 'own', 'main process, engine host, command line'],
  [/^app\/out\/preload\//, 'own', 'preload script'],
  [/^app\/out\/renderer\/licences\.json$/, 'own', 'licences for the window'],
  [/^app\/out\/renderer\//, 'own', 'window (script, styles, page)'],
  [/^app\/node_modules\/onnxruntime-/, 'with', 'ONNX Runtime for this platform'],
  [/^app\/node_modules\/@stdlib\//, 'with', 'built-in calibration texts'],
  [/^app\/assets\/sample\//, 'with', 'sample model'],
  [/^THIRD-PARTY-LICENSES\.txt$/, 'with', 'licences of third-party code'],
  [/^LICENSE/, 'electron', "licences of Electron's parts"],
  [/^locales\//, 'electron', 'languages'],
  [/^(?:icudtl\.dat|.*\.pak|.*\.bin)$/, 'electron', 'resources and snapshots'],
  [/^(?:quantmill|electron|chrome.*)(?:\.exe)?$/, 'electron', 'executables (Chromium, Node, V8)'],
  [/^app\/|^resources\//, 'with', 'the rest'],
  [/./, 'electron', 'graphics and media libraries, the rest'],
]
const GROUPS = { own: 'Quantmill', with: 'with it', electron: 'Electron' }

/** Rows { group, name, bytes } in the order of groups and sizes. Throws when the folder holds no app.asar. */
export function packageSizes(folder) {
  const sums = new Map()
  for (const [path, bytes] of packageFiles(folder)) {
    const [, group, name] = PARTS.find(([pattern]) => pattern.test(path))
    const key = `${group}\0${name}`
    sums.set(key, (sums.get(key) ?? 0) + bytes)
  }
  const order = Object.keys(GROUPS)
  return [...sums]
    .map(([key, bytes]) => ({ group: key.split('\0')[0], name: key.split('\0')[1], bytes }))
    .sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group) || b.bytes - a.bytes)
}

/** A Markdown table with sums by group; `extra` are rows below the total: [name, bytes]. */
export function sizeTable(rows, extra = []) {
  const lines = Object.keys(GROUPS).flatMap((group) => {
    const own = rows.filter((row) => row.group === group)
    return [
      [`**${GROUPS[group]}**`, `**${megabytes(total(own))}**`],
      ...own.map(({ name, bytes }) => [name, megabytes(bytes)]),
    ]
  })
  lines.push(['**Unpacked folder**', `**${megabytes(total(rows))}**`])
  lines.push(...extra.map(([name, bytes]) => [`**${name}**`, `**${megabytes(bytes)}**`]))
  const table = [['part', 'MB'], ...lines]
  const widths = [0, 1].map((column) => Math.max(...table.map((line) => line[column].length)))
  const text = ([name, size]) => `| ${name.padEnd(widths[0])} | ${size.padStart(widths[1])} |`
  const rule = `| ${'-'.repeat(widths[0])} | ${'-'.repeat(widths[1] - 1)}: |`
  return [text(table[0]), rule, ...table.slice(1).map(text)].join('\n')
}

function total(rows) {
  return rows.reduce((sum, { bytes }) => sum + bytes, 0)
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)
}

/** Every file with its size: those in the archive by the archive's list, everything else by the file system. */
function packageFiles(folder) {
  const archive = join(folder, 'resources', 'app.asar')
  const files = filesUnder(folder)
    .filter((path) => join(folder, path) !== archive)
    .map((path) => [
      path.replace(/^resources\/app\.asar\.unpacked\//, 'app/'),
      lstatSync(join(folder, path)).size,
    ])
  const packed = archiveFiles(archive).filter(({ isUnpacked }) => !isUnpacked)
  const rest = lstatSync(archive).size - packed.reduce((sum, { bytes }) => sum + bytes, 0)
  return [...files, ...packed.map(({ path, bytes }) => [`app/${path}`, bytes]), ['app/', rest]]
}

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      relative(folder, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    )
}

/** Files of an asar archive. Its head is two Chromium pickles: bytes 4 to 8 hold the size of the second, 12 to 16 the length of the JSON list. */
export function archiveFiles(archive) {
  if (!existsSync(archive)) throw new Error(`${archive} is missing`)
  const file = openSync(archive, 'r')
  try {
    const head = Buffer.alloc(16)
    readSync(file, head, 0, 16, 0)
    const list = Buffer.alloc(head.readUInt32LE(12))
    readSync(file, list, 0, list.length, 16)
    return flatten(JSON.parse(list.toString('utf8')).files, '')
  } finally {
    closeSync(file)
  }
}

function flatten(entries, prefix) {
  return Object.entries(entries).flatMap(([name, entry]) =>
    entry.files === undefined
      ? [{ path: `${prefix}${name}`, bytes: entry.size ?? 0, isUnpacked: entry.unpacked === true }]
      : flatten(entry.files, `${prefix}${name}/`),
  )
}

/** Replaces what stands between the markers of a document. Throws when they are missing. */
export function replaceBetweenMarkers(document, name, content) {
  const text = readFileSync(document, 'utf8')
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`]
  const [before, rest] = text.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`${document} has no ${begin} … ${end}`)
  return `${before}${begin}\n\n${content}\n\n${end}${after}`
}

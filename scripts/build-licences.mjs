// Licences of everything that is shipped, from what the bundlers report (out/bundled/*.json), what electron-builder.yml takes from
// node_modules, and what a compiler or runtime adds: out/THIRD-PARTY-LICENSES.txt for packages, out/renderer/licences.json for the window.
// Ends with an error when one of them has no text or a licence that is not on the list.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { licenceProblems, noticeText, readPackageLicence } from './lib/licences.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const out = join(root, 'out')

/** Electron itself; AssemblyScript's standard library is compiled into the kernels. */
const ADDED = ['node_modules/electron', 'node_modules/assemblyscript']
/** Packages that come without a text. ONNX Runtime'''s notices are those that a redistribution of it carries (docs/packaging.md). */
const EXTRA_TEXTS = {
  '@bufbuild/protobuf': ['bufbuild-protobuf.txt'],
  'onnxruntime-common': ['onnxruntime.txt'],
  'onnxruntime-node': ['onnxruntime.txt', 'onnxruntime-third-party.txt'],
}

const folders = new Set([...bundledFolders(), ...copiedFolders(), ...ADDED])
const entries = [...folders]
  .map((folder) => readPackageLicence(join(root, folder), extraTexts(folder)))
  .sort((a, b) => (a.name < b.name ? -1 : 1))
const problems = licenceProblems(entries)
if (problems.length > 0) throw new Error(`licences of shipped packages:\n${problems.join('\n')}`)
writeFileSync(join(out, 'THIRD-PARTY-LICENSES.txt'), noticeText(entries))
writeFileSync(join(out, 'renderer', 'licences.json'), JSON.stringify(entries))

/** Folders of packages whose modules are in a bundle, as each build wrote them down. */
function bundledFolders() {
  const folder = join(out, 'bundled')
  return readdirSync(folder).flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
}

/** Packages that are shipped as files. */
function copiedFolders() {
  const { files } = parse(readFileSync(join(root, 'electron-builder.yml'), 'utf8'))
  return files.map((pattern) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(pattern)?.[0]).filter(Boolean)
}

function extraTexts(folder) {
  const name = folder.replace('node_modules/', '')
  return (EXTRA_TEXTS[name] ?? []).map((file) => join(root, 'assets', 'licences', file))
}

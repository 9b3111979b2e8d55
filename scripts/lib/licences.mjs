// Licences of third-party code: which ones may be shipped, where a package keeps its text, and the notice made of them.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** SPDX identifiers that may be shipped in a closed or open product when their text goes along. Others need a decision, not an entry here. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
])
const TEXT_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i

/**
 * One entry of the notice from a package's folder: name, version, SPDX expression, homepage and the texts that the package carries. `extraTexts`
 * are files that are added, for packages that come without one.
 */
export function readPackageLicence(folder, extraTexts = []) {
  const { name, version, license, homepage } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const own = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && TEXT_FILE.test(entry.name))
    .map((entry) => join(folder, entry.name))
  const texts = [...own, ...extraTexts].filter((path) => existsSync(path))
  return {
    name,
    version,
    licence: typeof license === 'string' ? license : '',
    homepage: homepage ?? '',
    text: texts.map((path) => readFileSync(path, 'utf8').replaceAll('\r\n', '\n').trim()).join('\n\n'),
  }
}

/** One line for each entry that must not be shipped as it is; empty when all may. */
export function licenceProblems(entries) {
  return entries.flatMap(({ name, version, licence, text }) => {
    if (!isAllowed(licence)) return [`${name} ${version}: licence "${licence}" is not on the list`]
    return text === '' ? [`${name} ${version}: there is no licence text`] : []
  })
}

/** All of an AND, one of an OR; exceptions (WITH) and nesting of both are refused until somebody has read them. */
function isAllowed(expression) {
  const plain = expression.replace(/^\((.*)\)$/, '$1')
  if (/[()]/.test(plain) || (/ AND /.test(plain) && / OR /.test(plain))) return false
  if (/ OR /.test(plain)) return plain.split(' OR ').some((id) => ALLOWED.has(id))
  return plain.split(' AND ').every((id) => ALLOWED.has(id))
}

/** The file that goes with every package. */
export function noticeText(entries) {
  const rule = '='.repeat(100)
  const sections = entries.map(({ name, version, licence, homepage, text }) => {
    const head = `${name} ${version}\nLicence: ${licence}${homepage === '' ? '' : `\n${homepage}`}`
    return `${rule}\n${head}\n${rule}\n\n${text}\n`
  })
  return `${INTRODUCTION}\n${sections.join('\n')}`
}

const INTRODUCTION = `Third-party software in Quantmill

This file is made by the build from the packages whose code it found in the result. Chromium, Node and the other parts of Electron have
theirs in LICENSES.chromium.html beside the program.
`

/**
 * Licences of what is shipped. The build refuses a package without a text or with a licence outside the list; here that refusal is seen to
 * work, and the list that the build made is compared with what package.json and the sources name.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { licenceProblems, type LicenceEntry } from '../../scripts/lib/licences.mjs'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const built = JSON.parse(read('out/renderer/licences.json')) as readonly LicenceEntry[]
const entry = (licence: string, text = 'Permission is hereby granted'): LicenceEntry => ({
  name: 'planted',
  version: '1.0.0',
  licence,
  homepage: '',
  text,
})

test.each([
  'GPL-3.0-only',
  'SSPL-1.0',
  'SEE LICENSE IN LICENSE.md',
  '',
  'MIT AND LGPL-3.0-only',
  '(MIT AND (GPL-3.0 OR ISC))',
])('a package under "%s" is refused by name', (licence) => {
  expect(licenceProblems([entry(licence)])).toStrictEqual([
    `planted 1.0.0: licence "${licence}" is not on the list`,
  ])
})

test.each(['MIT', '(Apache-2.0 AND BSD-3-Clause)', '(GPL-2.0-only OR MIT)'])(
  'a package under "%s" may be shipped',
  (licence) => {
    expect(licenceProblems([entry(licence)])).toStrictEqual([])
  },
)

test('a package without a licence text is refused', () => {
  expect(licenceProblems([entry('MIT', '')])).toStrictEqual(['planted 1.0.0: there is no licence text'])
})

test('every dependency of the product has an entry, in the version of the lock file', () => {
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { version: string }>
  }
  const versions = Object.fromEntries(built.map(({ name, version }) => [name, version]))
  // `vue` itself is a front that re-exports the packages whose code is shipped.
  const names = Object.keys(dependencies).map((name) => (name === 'vue' ? '@vue/runtime-dom' : name))
  expect(names.length).toBeGreaterThan(10)
  for (const name of [...names, 'electron', 'assemblyscript', 'onnxruntime-common'])
    expect([name, versions[name]]).toStrictEqual([name, packages[`node_modules/${name}`].version])
})

test('what the build lists may be shipped, ONNX Runtime with the notices of what is compiled into it', () => {
  expect(licenceProblems(built)).toStrictEqual([])
  const notice = read('out/THIRD-PARTY-LICENSES.txt')
  for (const { name, version, text } of built) {
    expect(notice).toContain(`\n${name} ${version}\n`)
    expect(notice).toContain(text)
  }
  const runtime = built.find(({ name }) => name === 'onnxruntime-node')?.text
  expect(runtime).toContain('protocolbuffers/protobuf')
  expect(runtime).toContain('https://dawn.googlesource.com/dawn')
})

/**
 * The layer rules catch what they forbid. A rule whose pattern no longer matches (a renamed folder, a typing error in the configuration) passes
 * silently on the real tree; here every rule gets a planted violation and must name it.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../tools/temporary-folder.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Rule -> file with the forbidden import, and what it imports. */
const PLANTED: Readonly<Record<string, readonly [file: string, imported: string]>> = {
  'no-cycles': ['main/engine/plan/a.ts', './b.ts'],
  'no-unresolvable': ['main/host/lost.ts', './nowhere.ts'],
  'no-dev-dependency-in-product': ['main/host/tool.ts', 'vitest'],
  'errors-stand-alone': ['shared/errors/high.ts', '../domain/thing.ts'],
  'domain-below-contract': ['shared/domain/high.ts', '../contract/thing.ts'],
  'contract-is-data': ['shared/contract/high.ts', '../../main/host/thing.ts'],
  'engine-without-electron': ['main/engine/pipeline/window.ts', 'electron'],
  'engine-without-node': ['main/engine/pipeline/files.ts', 'node:fs'],
  'engine-imports-engine': ['main/engine/pipeline/up.ts', '../../host/thing.ts'],
  'tensor-is-lowest': ['main/engine/tensor/up.ts', '../quant/thing.ts'],
  'quant-below-models': ['main/engine/quant/up.ts', '../models/thing.ts'],
  'models-below-pipeline': ['main/engine/models/up.ts', '../pipeline/thing.ts'],
  'one-owner-of-onnxruntime': ['main/workers/second.ts', 'onnxruntime-node'],
  'host-without-electron': ['main/host/jobs/window.ts', 'electron'],
  'window-side-without-engine': ['main/app/deep.ts', '../engine/quant/thing.ts'],
  'user-data-below-requests': ['main/user-data/up.ts', '../host/thing.ts'],
  'preload-is-thin': ['main/preload/fat.ts', '../host/thing.ts'],
  'renderer-without-main': ['renderer/src/deep.ts', '../../main/host/thing.ts'],
  'renderer-without-node': ['renderer/src/files.ts', 'node:path'],
  'renderer-types-of-contract': ['renderer/src/schemas.ts', '../../shared/contract/thing.ts'],
  'features-apart': ['renderer/src/features/run/cross.ts', '../plan/thing.ts'],
  'product-without-tests': ['main/host/tested.ts', '../../test/tools/thing.ts'],
}

/** Innocent files that the planted ones point to, and uses that must stay allowed. */
const INNOCENT: Readonly<Record<string, string>> = {
  'main/engine/plan/b.ts': "import { planted } from './a.ts'\nexport const b = planted\n",
  'main/engine/io/node/reads.ts':
    "import { readFileSync } from 'node:fs'\nexport const read = readFileSync\n",
  'main/engine/device/session.ts': "import * as ort from 'onnxruntime-node'\nexport const o = ort\n",
  'main/host/client.ts': "import { utilityProcess } from 'electron'\nexport const u = utilityProcess\n",
  'renderer/src/typed.ts':
    "import type { thing } from '../../shared/contract/thing.ts'\nexport type T = typeof thing\n",
}
const TARGETS = [
  'main/host/thing.ts',
  'main/engine/quant/thing.ts',
  'main/engine/models/thing.ts',
  'main/engine/pipeline/thing.ts',
  'renderer/src/features/plan/thing.ts',
  'shared/domain/thing.ts',
  'shared/contract/thing.ts',
  'test/tools/thing.ts',
]

interface Violation {
  readonly rule: { readonly name: string }
  readonly from: string
}

let tree = ''
let violations: readonly Violation[] = []

beforeAll(async () => {
  tree = await temporaryFolder()
  const write = async (file: string, text: string): Promise<void> => {
    await mkdir(dirname(join(tree, file)), { recursive: true })
    await writeFile(join(tree, file), text)
  }
  for (const file of TARGETS) await write(file, 'export const thing = 1\n')
  for (const [file, text] of Object.entries(INNOCENT)) await write(file, text)
  for (const [file, imported] of Object.values(PLANTED)) {
    await write(file, `import * as found from '${imported}'\nexport const planted = found\n`)
  }
  for (const file of [
    'package.json',
    'tsconfig.base.json',
    'tsconfig.node.json',
    '.dependency-cruiser.cjs',
  ]) {
    await cp(join(ROOT, file), join(tree, file))
  }
  await symlink(join(ROOT, 'node_modules'), join(tree, 'node_modules'), 'junction')
  violations = await cruise(tree)
})

/** depcruise ends with the number of errors; its report is on standard output either way. */
async function cruise(folder: string): Promise<readonly Violation[]> {
  const program = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
  const args = [program, 'main', 'shared', 'renderer', '--config', '.dependency-cruiser.cjs', '-T', 'json']
  const options = { cwd: folder, maxBuffer: 64 * 1024 * 1024 }
  const stdout = await promisify(execFile)(process.execPath, args, options).then(
    (result) => result.stdout,
    (error: unknown) => (error as { stdout: string }).stdout,
  )
  return (JSON.parse(stdout) as { summary: { violations: Violation[] } }).summary.violations
}

describe('dependency rules', () => {
  test.each(Object.entries(PLANTED))('%s catches its planted violation', (name, [file]) => {
    expect(violations.filter(({ rule, from }) => rule.name === name && from === file)).not.toHaveLength(0)
  })

  test('nothing that is allowed is reported', () => {
    const innocent = Object.keys(INNOCENT).filter((file) => file !== 'main/engine/plan/b.ts')
    expect(violations.filter(({ from }) => innocent.includes(from) || TARGETS.includes(from))).toEqual([])
  })

  test('every rule of the configuration has a planted violation', async () => {
    const { default: configuration } = (await import(join(ROOT, '.dependency-cruiser.cjs'))) as {
      default: { forbidden: { name: string }[] }
    }
    expect(Object.keys(PLANTED).sort()).toEqual(configuration.forbidden.map(({ name }) => name).sort())
  })
})

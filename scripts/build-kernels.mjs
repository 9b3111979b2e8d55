// Compiles the WASM kernels into out/main/kernels.wasm. Plain Node; also imported by build.mjs and by tests that need the kernels.
import { mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const sourceFolder = join(root, 'main', 'engine', 'kernels', 'wasm', 'assembly')
const target = join(root, 'out', 'main', 'kernels.wasm')

/** Bytes of the compiled module; throws with the compiler's messages when a kernel does not compile. */
export async function compileKernels() {
  const { default: asc } = await import('assemblyscript/asc')
  const outputs = new Map()
  const { error, stderr } = await asc.main(
    [
      'index.ts',
      '--outFile',
      'kernels.wasm',
      '-O3',
      '--converge',
      '--noAssert',
      '--runtime',
      'stub',
      '--enable',
      'simd',
      '--maximumMemory',
      '32767',
      '--use',
      'abort=',
    ],
    {
      readFile: (name, base) => {
        try {
          return readFileSync(join(base === '.' ? sourceFolder : base, name), 'utf8')
        } catch {
          return null
        }
      },
      writeFile: (name, contents) => void outputs.set(name, contents),
      listFiles: () => [],
    },
  )
  const wasm = outputs.get('kernels.wasm')
  if (error !== null || wasm === undefined) throw new Error(`kernels do not compile\n${stderr.toString()}`)
  return wasm
}

function isUpToDate() {
  try {
    const built = statSync(target).mtimeMs
    const sources = [
      ...readdirSync(sourceFolder).map((name) => join(sourceFolder, name)),
      fileURLToPath(import.meta.url),
    ]
    return sources.every((file) => statSync(file).mtimeMs < built)
  } catch {
    return false
  }
}

if (!isUpToDate()) {
  const wasm = await compileKernels()
  mkdirSync(dirname(target), { recursive: true })
  // By rename, so that a reader never sees half a module.
  const partial = `${target}.${process.pid}`
  writeFileSync(partial, wasm)
  renameSync(partial, target)
}

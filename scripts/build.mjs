// Builds everything into out/: Node side, preload and renderer with electron-vite, then the WASM kernels and the licences of what is in it.
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(root)
rmSync(join(root, 'out'), { recursive: true, force: true })
const { build } = await import('electron-vite')
await build({ root, logLevel: process.env.QUANTMILL_BUILD_LOG ?? 'warn' })
for (const step of ['build-kernels.mjs', 'build-licences.mjs']) {
  await import(pathToFileURL(join(root, 'scripts', step)).href)
}

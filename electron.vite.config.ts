/** Three targets: Node side (main, host, command line, workers), preload (one CommonJS file), renderer. Output folder: out/. */
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'electron-vite'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Plugin } from 'vite'

const here = (path: string): string => resolve(import.meta.dirname, path)

/** Code that a tool adds has a name instead of a path. */
const ADDED_BY: readonly (readonly [string, string])[] = [
  ['rolldown/', 'rolldown'],
  ['vite/', 'vite'],
  ['/plugin-vue', '@vitejs/plugin-vue'],
  ['plugin-vue:', '@vitejs/plugin-vue'],
]

/** Writes down the folders of the packages whose code is in the bundle: scripts/build-licences.mjs makes the notices of them. */
function recordPackages(target: string): Plugin {
  return {
    name: 'record-packages',
    generateBundle(_options, bundle) {
      const ids = Object.values(bundle).flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []))
      const folders = new Set(ids.map(packageFolder).filter((folder) => folder !== undefined))
      mkdirSync(here('out/bundled'), { recursive: true })
      writeFileSync(here(join('out/bundled', `${target}.json`)), JSON.stringify([...folders].sort()))
    },
  }
}

/** `node_modules/<package>` of a module, nested ones included; undefined for our own. Throws for code of unknown origin. */
function packageFolder(id: string): string | undefined {
  if (id.startsWith('\0')) {
    const tool = ADDED_BY.find(([prefix]) => id.slice(1).startsWith(prefix))?.[1]
    if (tool === undefined) throw new Error(`nobody knows whose code ${id.slice(1)} is: add it to ADDED_BY`)
    return `node_modules/${tool}`
  }
  const inside = id.replaceAll('\\', '/').split(`${import.meta.dirname.replaceAll('\\', '/')}/`)[1] ?? ''
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(inside)?.[0]
}

export default defineConfig({
  main: {
    plugins: [recordPackages('main')],
    build: {
      outDir: 'out/main',
      emptyOutDir: false,
      target: 'node20',
      externalizeDeps: false,
      rolldownOptions: {
        input: {
          index: here('main/index.ts'),
          host: here('main/host/entry.ts'),
          cli: here('main/cli/index.ts'),
          'export.worker': here('main/workers/export.worker.ts'),
          'device.worker': here('main/workers/device.worker.ts'),
          'verify.worker': here('main/workers/verify.worker.ts'),
          'weight-loader.worker': here('main/workers/weight-loader.worker.ts'),
          'calibration-bench': here('test/bench/support/calibration-bench.ts'),
        },
        external: ['electron', 'onnxruntime-node'],
        output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
      },
    },
  },
  preload: {
    plugins: [recordPackages('preload')],
    build: {
      outDir: 'out/preload',
      externalizeDeps: false,
      rolldownOptions: {
        input: { index: here('main/preload/index.ts') },
        external: ['electron'],
        output: { format: 'cjs', entryFileNames: '[name].cjs' },
      },
    },
  },
  renderer: {
    root: 'renderer',
    base: './',
    plugins: [vue(), recordPackages('renderer')],
    build: {
      outDir: here('out/renderer'),
      emptyOutDir: true,
      rolldownOptions: { input: here('renderer/index.html') },
    },
  },
})

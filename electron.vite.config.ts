/** Three targets: Node side (main, host, command line, workers), preload (one CommonJS file), renderer. Output folder: out/. */
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'electron-vite'
import { resolve } from 'node:path'

const here = (path: string): string => resolve(import.meta.dirname, path)

export default defineConfig({
  main: {
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
    plugins: [vue()],
    build: {
      outDir: here('out/renderer'),
      emptyOutDir: true,
      rolldownOptions: { input: here('renderer/index.html') },
    },
  },
})

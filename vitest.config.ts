/** Two projects: everything that runs in Node, and the window and browser runs, which need a build, a display and one process at a time. */
import { defineConfig } from 'vitest/config'

const NODE_FOLDERS = ['unit', 'property', 'golden', 'integration', 'security', 'architecture', 'fuzz']

export default defineConfig({
  test: {
    setupFiles: ['test/tools/each-file.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          include: NODE_FOLDERS.map((folder) => `test/${folder}/**/*.test.ts`),
          // For what hangs, not for what is slow: on a crowded machine a test takes twenty times as long.
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})

// The static checks, one entry each: name, group for `--only`, and a command whose exit code decides.
import { join } from 'node:path'
import { root } from './processes.mjs'

const bin = (path) => join(root, 'node_modules', path)
const tsc = (project) => [bin('typescript/bin/tsc'), '-p', `tsconfig.${project}.json`]

export const CHECKS = [
  {
    name: 'format',
    group: 'lint',
    args: [bin('prettier/bin/prettier.cjs'), '--check', '.', '--log-level', 'warn'],
  },
  { name: 'types engine', group: 'types', args: tsc('engine') },
  { name: 'types node', group: 'types', args: tsc('node') },
  { name: 'types test', group: 'types', args: tsc('test') },
  { name: 'types web', group: 'types', args: [bin('vue-tsc/bin/vue-tsc.js'), '-p', 'tsconfig.web.json'] },
  {
    name: 'dependencies',
    group: 'deps',
    args: [
      bin('dependency-cruiser/bin/dependency-cruise.mjs'),
      'main',
      'shared',
      'renderer',
      '--config',
      '.dependency-cruiser.cjs',
    ],
  },
  { name: 'unused code', group: 'deps', args: [bin('knip/bin/knip.js'), '--no-progress'] },
  {
    name: 'lint',
    group: 'lint',
    args: [
      bin('eslint/bin/eslint.js'),
      '--max-warnings',
      '0',
      'main',
      'shared',
      'renderer',
      'test',
      'scripts',
      'eslint.config.js',
      'electron.vite.config.ts',
      'vitest.config.ts',
    ],
  },
]

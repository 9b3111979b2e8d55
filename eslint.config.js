// Strict rules for everything that is typed; the scripts in scripts/ and test/tools are plain Node and get the untyped set.
import vue from 'eslint-plugin-vue'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

const TYPED = [
  'main/**/*.ts',
  'shared/**/*.ts',
  'renderer/**/*.ts',
  'renderer/**/*.vue',
  'test/**/*.ts',
  '*.config.ts',
]
/** Bit patterns and tables are indexed inside loops whose bounds are checked once, before them. */
const INDEXED_IN_BOUNDS = ['main/engine/tensor/**', 'main/engine/quant/**', 'main/engine/kernels/**']

/** Electron's dangerous entry points have one file each. A later entry for the same rule replaces the earlier one, so lists are built. */
const ONE_PLACE = [
  {
    selector: "NewExpression[callee.name='BrowserWindow']",
    message: 'Windows are created in main/app/windows.ts only.',
    allowedIn: 'main/app/windows.ts',
  },
  {
    selector: "MemberExpression[object.name='ipcMain']",
    message: 'ipcMain belongs to main/app/requests.ts (sender check, schemas, envelope).',
    allowedIn: 'main/app/requests.ts',
  },
  {
    selector: "MemberExpression[object.name='shell'][property.name='openExternal']",
    message: 'openExternal belongs to main/security/open-external.ts (list of allowed addresses).',
    allowedIn: 'main/security/open-external.ts',
  },
]
const NO_ENUM = { selector: 'TSEnumDeclaration', message: 'Use a const tuple and a union type.' }
const NO_DEFAULT_EXPORT = { selector: 'ExportDefaultDeclaration', message: 'Export by name.' }
const bans = (places) => [
  'error',
  NO_ENUM,
  NO_DEFAULT_EXPORT,
  ...places.map(({ selector, message }) => ({ selector, message })),
]

/** What is named to be left out, and parameters that an interface demands. */
const UNUSED = { ignoreRestSiblings: true, argsIgnorePattern: '^_', varsIgnorePattern: '^_$' }

const projectOf = (project, files) => [{ files, languageOptions: { parserOptions: { project } } }]

export default defineConfig(
  globalIgnores([
    'node_modules/',
    'out/',
    'dist/',
    '.cache/',
    'test/output/',
    'assets/',
    'main/engine/kernels/wasm/assembly/',
    'main/**/*.d.ts',
  ]),
  {
    files: ['**/*.mjs', '**/*.cjs', '**/*.js'],
    rules: {
      'no-unused-vars': ['error', UNUSED],
      'no-var': 'error',
      'prefer-const': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: TYPED,
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        project: 'tsconfig.node.json',
        tsconfigRootDir: import.meta.dirname,
        extraFileExtensions: ['.vue'],
      },
    },
    rules: {
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 80, skipBlankLines: true, skipComments: true }],
      complexity: ['error', { max: 12, variant: 'modified' }],
      'max-depth': ['error', 3],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-syntax': bans(ONE_PLACE),
      '@typescript-eslint/no-unused-vars': ['error', UNUSED],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      // Names with dots and dashes (tensor names, routes) are read with brackets, which tsconfig demands too.
      '@typescript-eslint/dot-notation': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // A parameter that ties two argument types together may be named once only.
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      '@typescript-eslint/consistent-type-definitions': ['error', 'interface'],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
    },
  },
  ...ONE_PLACE.map((place) => ({
    files: [place.allowedIn],
    rules: { 'no-restricted-syntax': bans(ONE_PLACE.filter((other) => other !== place)) },
  })),
  ...projectOf('tsconfig.web.json', ['renderer/**/*.ts', 'renderer/**/*.vue']),
  ...projectOf('tsconfig.test.json', ['test/**/*.ts', 'vitest.config.ts']),
  { files: INDEXED_IN_BOUNDS, rules: { '@typescript-eslint/no-non-null-assertion': 'off' } },
  {
    // Loops over layers, rows, blocks and elements nest by nature, and walk several arrays by one index.
    files: [...INDEXED_IN_BOUNDS, 'main/engine/calibration/**'],
    rules: { 'max-depth': ['error', 4], '@typescript-eslint/prefer-for-of': 'off' },
  },
  {
    files: ['*.config.ts', 'renderer/**/*.config.ts', '**/*.d.ts'],
    rules: { 'no-restricted-syntax': bans(ONE_PLACE).filter((ban) => ban !== NO_DEFAULT_EXPORT) },
  },
  {
    files: ['test/**/*.ts'],
    ignores: ['test/tools/properties.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { name: 'fast-check', message: 'test/tools/properties.ts gives it its seed.' },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // describe blocks are lists of cases, and test doubles assert what they know about their inputs.
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-implied-eval': 'off',
      // Tests are checked without noUncheckedIndexedAccess, so the rule would call sensible guards superfluous.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
      '@typescript-eslint/no-useless-default-assignment': 'off',
    },
  },
  {
    // Readers of declarations with many optional fields are lists of conditions.
    files: ['main/engine/verify/**', 'main/engine/convert/**'],
    rules: { complexity: ['error', { max: 20, variant: 'modified' }] },
  },
  {
    // A setup function is a store's or a component's whole module.
    files: ['renderer/src/**/use*.ts'],
    rules: { 'max-lines-per-function': ['error', { max: 120, skipBlankLines: true, skipComments: true }] },
  },
  {
    // Made-up data to look at.
    files: ['renderer/src/preview/*.ts'],
    rules: { 'max-lines': 'off', 'max-lines-per-function': 'off', complexity: 'off' },
  },
  {
    // Only vue-tsc knows the type of a component file.
    files: ['renderer/src/main.ts'],
    rules: { '@typescript-eslint/no-unsafe-argument': 'off' },
  },
  { files: ['renderer/**/*.vue'], extends: [vue.configs['flat/recommended']] },
  {
    files: ['renderer/**/*.vue'],
    languageOptions: { parserOptions: { parser: tseslint.parser } },
    rules: {
      'vue/no-v-html': 'error',
      'vue/block-lang': ['error', { script: { lang: 'ts' } }],
      'vue/component-api-style': ['error', ['script-setup']],
      'vue/define-props-declaration': ['error', 'type-based'],
      'vue/define-emits-declaration': ['error', 'type-based'],
      'vue/multi-word-component-names': 'off',
      // Layout of templates is Prettier's.
      'vue/html-indent': 'off',
      'vue/max-attributes-per-line': 'off',
      'vue/singleline-html-element-content-newline': 'off',
      'vue/multiline-html-element-content-newline': 'off',
      'vue/html-self-closing': 'off',
      'vue/html-closing-bracket-newline': 'off',
      'vue/first-attribute-linebreak': 'off',
      'vue/attributes-order': 'off',
      'vue/require-default-prop': 'off',
    },
  },
  {
    files: ['renderer/**/*.ts', 'renderer/**/*.vue'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['node:*', 'electron'], message: 'The renderer has neither Node nor Electron.' },
            { group: ['**/main/**'], message: 'The renderer imports from shared/ only.' },
          ],
        },
      ],
    },
  },
)

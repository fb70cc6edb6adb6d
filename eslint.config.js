import tseslint from 'typescript-eslint';
import { importX } from 'eslint-plugin-import-x';

const connectors = ['command', 'databricks', 'delta', 'lake', 'memory', 'module', 'objects', 'parquet', 'postgres'];
/** What a connector is made of; what there is for all of them lies beside these folders. */
const insides = connectors.map((name) => `**/connectors/${name}/**`);

/** The walls of the house: who may import whom (docs/architecture.md). One row a room; `never` are import patterns. */
const walls = [
  {
    files: ['src/core/**'],
    never: [
      'node:*',
      '@temporalio/*',
      'pg',
      'zod',
      'pino',
      '**/connectors/**',
      '**/config/**',
      '**/worker/**',
      '**/cli/**',
      '**/devstack/**',
      '**/workflows/**',
      '**/activities/**',
    ],
    why: 'src/core is pure: no I/O, no Temporal, no driver.',
  },
  {
    files: ['workflows/**'],
    never: [
      'node:*',
      'pg',
      'zod',
      'pino',
      '@temporalio/client',
      '@temporalio/worker',
      '**/connectors/**',
      '**/config/**',
      '**/worker/**',
      '**/cli/**',
      '**/devstack/**',
      '**/fail-points.js',
    ],
    why: 'Workflows are deterministic orchestration only.',
  },
  {
    files: ['activities/**'],
    never: [
      'pg',
      '**/workflows/**',
      ...insides,
      '**/cli/**',
      '**/devstack/**',
      '@temporalio/client',
      '@temporalio/worker',
      '@temporalio/workflow',
    ],
    why: 'Activities translate Temporal into calls of the connector contract; they know no concrete connector.',
  },
  {
    files: ['src/connectors/**'],
    never: [
      '@temporalio/*',
      '**/config/**',
      '**/worker/**',
      '**/cli/**',
      '**/devstack/**',
      '**/workflows/**',
      '**/activities/**',
    ],
    why: 'Connectors know nothing of Temporal.',
  },
  {
    files: ['src/config/**'],
    never: [
      '@temporalio/client',
      '@temporalio/worker',
      '@temporalio/workflow',
      '@temporalio/activity',
      'pg',
      '**/connectors/*/**',
      '**/worker/**',
      '**/cli/**',
      '**/devstack/**',
      '**/workflows/**',
      '**/activities/**',
    ],
    why: "Configuration doesn't reach into connectors.",
  },
  {
    files: ['src/index.ts', 'src/testing/**'],
    never: [
      '@temporalio/*',
      'pg',
      '**/connectors/postgres/**',
      '**/config/**',
      '**/worker/**',
      '**/cli/**',
      '**/devstack/**',
      '**/workflows/**',
      '**/activities/**',
    ],
    why: 'What the authors of sources import brings nothing of the worker with it.',
  },
  {
    files: ['examples/**'],
    never: ['**/src/**', '**/activities/**', '**/workflows/**', '**/test/**', '@temporalio/*'],
    why: 'An example has what its reader has: the package, by its name.',
  },
  {
    files: ['src/cli/**'],
    never: insides,
    why: "The CLI doesn't reach into connectors.",
  },
];

/** Every way to get hold of it: by name, as a part of the module, handed on. Where it is declared, it is neither. */
const armsFailPoints = [
  'ImportSpecifier[imported.name="armFailPoints"]',
  'ExportSpecifier[local.name="armFailPoints"]',
  'ImportDeclaration[source.value=/fail-points/] ImportNamespaceSpecifier',
  'ExportAllDeclaration[source.value=/fail-points/]',
  'ImportExpression[source.value=/fail-points/]',
];

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'coverage/**'] },
  ...tseslint.configs.strictTypeChecked,
  {
    plugins: { 'import-x': importX },
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['eslint.config.js', 'scripts/*.js', 'bin/*.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  ...walls.map(({ files, never, why }) => ({
    files,
    rules: { 'no-restricted-imports': ['error', { patterns: [{ group: never, message: why }] }] },
  })),
  {
    // An installed package has no devDependencies.
    files: ['src/**', 'activities/**', 'workflows/**', 'bin/**'],
    rules: { 'import-x/no-extraneous-dependencies': ['error', { devDependencies: false, includeTypes: false }] },
  },
  {
    ignores: ['test/**'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...armsFailPoints.map((selector) => ({ selector, message: 'Nothing but a test arms fail points.' })),
      ],
    },
  },
  { files: ['**/*.js'], extends: [tseslint.configs.disableTypeChecked] },
);

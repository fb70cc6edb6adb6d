import { defineConfig } from 'vitest/config';
export default defineConfig({ root: '/work/wt/lead', test: { pool: 'forks', maxWorkers: 1, include: ['test/contract/delta.test.ts','test/contract/parquet.test.ts'], testTimeout: 60000, hookTimeout: 60000 } });

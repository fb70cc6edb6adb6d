import { defineConfig } from 'vitest/config';
export default defineConfig({ root: '/work/wt/lead', test: { pool: 'forks', maxWorkers: 1, testTimeout: 300000, hookTimeout: 1200000, globalSetup: ['test/support/global-setup.ts'] } });

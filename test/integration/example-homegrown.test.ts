import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { play } from '../../src/devstack/homegrown/play.js';
import { setStage } from '../../src/devstack/homegrown/stage.js';
import { startTestPostgres } from '../support/postgres.js';
import { startTestTemporal } from '../support/temporal.js';

/** `npm run example:homegrown`, smaller, on the run's servers. Needs python3, and dist/ for its workers. */

const postgres = await startTestPostgres('destination');
const temporal = await startTestTemporal();
const dir = await mkdtemp(join(tmpdir(), 'longhaul-homegrown-'));

afterAll(async () => {
  await temporal.stop();
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
});

test.each(['warehouse', 'lake'] as const)(
  "the first user's job: a library that fails, a worker that is killed, and every row once, in a %s",
  async (to) => {
    const servers = { postgresUrl: postgres.url, temporalAddress: temporal.address };
    for (const name of ['control', 'warehouse']) await postgres.createDatabase(name);
    const scale = { to, source: 'erp', queries: 8, rowsEach: 200, failureRate: 0.2, latency: 0 } as const;
    const stage = await setStage(servers, dir, scale);
    try {
      const outcome = await play(stage, temporal.address, () => undefined);
      expect(outcome).toMatchObject({ queries: 24, completed: 24, rows: 4800, missing: 0, duplicated: 0, parked: 0 });
      expect(outcome.tables.map(({ table }) => table).sort()).toEqual(['customers', 'invoices', 'orders']);
      const failures = [...outcome.troubles.values()].reduce((sum, times) => sum + times, 0);
      expect(outcome.retries).toBeGreaterThanOrEqual(failures);
    } finally {
      await stage.workers.stop();
    }
  },
);

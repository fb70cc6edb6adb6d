import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobReport } from '../../workflows/messages.js';
import { createApi, YEARS } from '../../examples/module-source/api.js';
import { readJobFile } from '../../src/config/index.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';
import { testWorkers, type TestWorkers } from '../support/worker.js';

const TOKEN = 'CANARY-7f3a';
const server = createApi(TOKEN);
let destination: TestPostgres;
let temporal: TestTemporal;
let url: string;
let workers: TestWorkers;

beforeAll(async () => {
  destination = await startTestPostgres('destination');
  temporal = await startTestTemporal();
  url = await destination.createDatabase('module_example');
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const path = resolve('examples/module-source/sources/erp.ts');
  workers = await testWorkers({
    ...{ temporal: temporal.address, taskQueue: temporal.unique('module'), sourceUrl: url, destinationUrl: url },
    connections: [
      `erp: {type: module, path: ${path}, options: {url: "${api}", token: ${TOKEN}}}`,
      `stranger: {type: module, path: ${path}, options: {url: "${api}", token: WRONG-7f3a}}`,
    ],
  });
  await workers.start();
});

afterAll(async () => {
  await workers.stop();
  await temporal.stop();
  await destination.stop();
  server.close();
});

/** The example's own job file. */
async function start(over: object = {}) {
  const input = { ...((await readJobFile('examples/module-source/job.yaml')) as object), ...over };
  const options = { taskQueue: workers.taskQueue, workflowId: temporal.unique('job'), args: [input] };
  return temporal.client.workflow.start('copyJob', options);
}

describe('the example of a module', () => {
  it('is copied whole, though the API fails now and then', async () => {
    const handle = await start();
    const report = (await handle.result()) as JobReport;
    expect(report.rows).toBe(Object.values(YEARS).reduce((sum, count) => sum + count, 0));
    const years = await runSql<{ year: string; rows: number; ids: number; sum: string }>(
      url,
      `SELECT to_char(ordered_at AT TIME ZONE 'UTC', 'YYYY') AS year, count(*)::int AS rows,
         count(DISTINCT id)::int AS ids, sum(amount)::text AS sum FROM orders GROUP BY 1 ORDER BY 1`,
    );
    expect(years.map(({ year, rows, ids }) => [year, rows, ids])).toEqual(
      Object.entries(YEARS).map(([year, count]) => [year, count, count]),
    );
    const [exact] = await runSql(
      url,
      `SELECT id::text, amount::text, note, to_char(ordered_at AT TIME ZONE 'UTC', 'US') AS us FROM orders WHERE id = 2024000000000000002`,
    );
    expect(exact).toEqual({ id: '2024000000000000002', amount: '2.02', note: 'order 2 – ✓', us: '000002' });
    const [notes] = await runSql(
      url,
      `SELECT count(*) FILTER (WHERE note IS NULL)::int AS nulls, count(*) FILTER (WHERE note = '')::int AS empty FROM orders`,
    );
    const third = (rest: number) => Object.values(YEARS).reduce((sum, n) => sum + Math.floor((n + 2 - rest) / 3), 0);
    expect(notes).toEqual({ nulls: third(0), empty: third(1) });
    const log = await workers.log();
    expect(log).toContain('failed in ' + resolve('examples/module-source/sources/erp.ts') + ': the API answered 503.');
    expect(log).not.toContain(TOKEN);
  });

  it('says what is wrong before anything is touched', async () => {
    const handle = await start({ source: 'stranger' });
    const { cause } = (await handle.result().catch((error: unknown) => error)) as { cause: Error };
    expect(cause.message).toContain(
      'tables[0]: describing table public.orders of connection "stranger" was refused by',
    );
    expect(cause.message).toContain('the API answered 401 — mend what it complains of');
  });
});

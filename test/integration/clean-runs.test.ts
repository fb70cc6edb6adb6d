import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createActivities } from '../../activities/index.js';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import type { Connector, Log, NewTableRecord } from '../../src/connectors/types.js';
import { LonghaulError } from '../../src/core/errors.js';
import type { LedgerView } from '../../src/core/activities.js';
import type { CleanedRuns } from '../../workflows/clean-runs.js';
import { failureInterceptor } from '../../src/worker/activity-interceptor.js';
import { WorkflowTests } from '../support/workflows.js';

/** Real activities over the in-memory connector, some of whose staging can't be removed. */

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** Somebody reads the staging of every table of this name. */
function readBySomebody(connector: Connector, table: string): Connector {
  return {
    ...connector,
    openDestination: async (options) => {
      const session = await connector.openDestination(options);
      const discard = session.discard.bind(session);
      session.discard = (record) =>
        record.spec.table === table
          ? Promise.reject(new LonghaulError('LockTimeout', `${record.staging} is read by session 7.`))
          : discard(record);
      return session;
    },
  };
}

function newTable(run: string, table: string): NewTableRecord {
  const spec = { table, to: `${table}_of_${run}`, mode: 'replace', partition: { by: 'auto' } } as const;
  const shape = { system: 'memory', columns: [], primaryKey: [] };
  return { spec, source: 'from', shape, columns: [], format: 'rows', fingerprint: {} };
}

async function world(name: string) {
  const connector = createMemoryConnector({ name: 'to', server: name });
  const session = await connector.openDestination({ signal: new AbortController().signal, label: 'test', log });
  const open = async (run: string, tables: string[]) => {
    const records = await session.ledger.openRun(
      { run, job: 'job' },
      tables.map((table) => newTable(run, table)),
    );
    for (const record of records) await session.prepare(record);
    await session.ledger.closeRun(run, 'suspended');
  };
  const staging = () => [...memoryServer(name).staging.keys()].sort();
  return { connector: readBySomebody(connector, 'read'), session, open, staging };
}

test('what stands in the way of one table or run keeps none of the others, and all of it is told', async () => {
  const name = tests.temporal.unique('server');
  const { connector, session, open, staging } = await world(name);
  const [held, resumed, free] = [randomUUID(), randomUUID(), randomUUID()];
  await open(held, ['read', 'other']);
  await open(resumed, ['other']);
  await open(free, ['other']);
  const activities = createActivities({ connectors: new Map([['to', connector]]), log });
  const ask = async <T>(taskQueue: string, type: string, input: object): Promise<T> => {
    const options = { taskQueue, workflowId: randomUUID(), args: [input] };
    return (await tests.temporal.client.workflow.execute(type, options)) as T;
  };
  await tests.during(
    activities,
    async (queue) => {
      const { ledgers } = await ask<{ ledgers: LedgerView[] }>(queue, 'listRuns', { limit: 10 });
      const unchangedSince = Object.fromEntries(ledgers[0]!.runs.map(({ run, changedAt }) => [run, changedAt]));
      await expect.poll(() => Date.now()).toBeGreaterThan(Date.parse(unchangedSince[resumed]!));
      await session.ledger.openRun({ run: resumed, job: 'other' }, [newTable(resumed, 'other')], { resume: true });
      const input = { destination: 'to', runs: [held, 'elsewhere', resumed, free], unchangedSince, forget: true };
      const { left } = await ask<CleanedRuns>(queue, 'cleanRuns', input);
      expect(left).toEqual([
        { run: held, because: expect.stringContaining('is read by session 7') as string },
        { run: 'elsewhere', because: expect.stringContaining('knows no such run') as string },
        { run: resumed, because: expect.stringContaining('changed since it was listed') as string },
      ]);
    },
    { activity: [failureInterceptor(log)] },
  );
  expect(staging()).toEqual([`other_of_${resumed} of ${resumed}`, `read_of_${held} of ${held}`].sort());
  const found = await session.ledger.runs();
  const forgotten = found.filter(({ forgottenAt }) => forgottenAt !== undefined).map(({ run }) => run);
  expect(forgotten).toEqual([free]);
  expect((await session.ledger.tables(resumed))[0]!.state).toBe('open');
});

test('what is listed of many ledgers has room in one answer', async () => {
  const name = tests.temporal.unique('server');
  const names = Array.from({ length: 8 }, (_, i) => `to-${i}`);
  const connectors = new Map(names.map((to) => [to, createMemoryConnector({ name: to, server: `${name}-many` })]));
  const { session } = await world(`${name}-many`);
  const tables = Array.from({ length: 5 }, (_, i) => `${'long'.repeat(12)}_${i}`);
  for (let i = 0; i < 400; i++)
    await session.ledger.openRun(
      { run: randomUUID(), job: 'job' },
      tables.map((table) => newTable(randomUUID(), table)),
    );
  const big = randomUUID();
  await session.ledger.openRun(
    { run: big, job: 'job' },
    Array.from({ length: 12_000 }, (_, i) => newTable(big, `table_${i}`)),
  );
  await tests.during(
    createActivities({ connectors, log }),
    async (taskQueue) => {
      const ask = async (input: object) => {
        const options = { taskQueue, workflowId: randomUUID(), args: [input] };
        return (await tests.temporal.client.workflow.execute('listRuns', options)) as { ledgers: LedgerView[] };
      };
      const all = await ask({ limit: 500 });
      expect(JSON.stringify(all).length).toBeLessThan(1_500_000);
      expect(all.ledgers.map(({ runs, more }) => [runs.length > 50, more])).toEqual(names.map(() => [true, true]));
      const one = await ask({ limit: 500, run: big, destination: names[0] });
      expect(one.ledgers[0]!.runs).toMatchObject([{ run: big, states: { open: 12_000 } }]);
      expect(one.ledgers[0]!.runs[0]!.tables.length).toBeGreaterThan(3_000);
    },
    { activity: [failureInterceptor(log)] },
  );
});

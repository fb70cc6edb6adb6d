import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createActivities, type Dependencies } from '../../activities/index.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { LonghaulActivities } from '../../src/core/activities.js';
import { failureInterceptor } from '../../src/worker/activity-interceptor.js';
import type { VerifyReport, VerifyJobInput } from '../../workflows/verify-job.js';
import { attemptOf } from '../support/checking.js';
import { connectionTo } from '../support/connection.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { failureOfWorkflow, WorkflowTests } from '../support/workflows.js';

/** Jobs and verifications by the real workflows and activities between two databases. */

/** Stands in keys: must be seen nowhere but in the databases. */
const CANARY = 'CANARY-9c1e';

let tests: WorkflowTests;
let servers: readonly [TestPostgres, TestPostgres];
let made = 0;
beforeAll(async () => {
  tests = await WorkflowTests.start();
  servers = [await startTestPostgres('source'), await startTestPostgres('destination')];
});
afterAll(async () => {
  await tests.stop();
  for (const server of servers) await server.stop();
});

const TABLES = `
  CREATE TABLE items (id int PRIMARY KEY, note text NOT NULL, price numeric(10,2));
  INSERT INTO items SELECT i, 'note ' || i, i / 4.0 FROM generate_series(1, 4000) i;
  CREATE TABLE words (word text PRIMARY KEY, n int); INSERT INTO words SELECT '${CANARY}-' || i, i FROM generate_series(1, 500) i;
  CREATE TABLE codes (code text COLLATE "C" PRIMARY KEY, n int);
  INSERT INTO codes SELECT '${CANARY}-' || i, i FROM generate_series(1, 500) i; ANALYZE`;

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

class Pair {
  constructor(
    readonly source: string,
    readonly target: string,
  ) {}

  static async make(): Promise<Pair> {
    const name = `verify_${++made}`;
    const pair = new Pair(await servers[0].createDatabase(`${name}_s`), await servers[1].createDatabase(`${name}_t`));
    await runSql(pair.source, TABLES);
    return pair;
  }

  get activities(): LonghaulActivities {
    const connectors: Dependencies['connectors'] = new Map([
      ['shop', createPostgresConnector(connectionTo('shop', this.source))],
      ['warehouse', createPostgresConnector(connectionTo('warehouse', this.target))],
    ]);
    return createActivities({ connectors, log });
  }

  during<T>(body: (queue: string) => Promise<T>, instead: Partial<LonghaulActivities> = {}): Promise<T> {
    return tests.during({ ...this.activities, ...instead }, body, { activity: [failureInterceptor(log)] });
  }

  async forget(run: string): Promise<void> {
    const connector = createPostgresConnector(connectionTo('warehouse', this.target));
    await using session = await connector.openDestination(attemptOf().session());
    expect(await session.ledger.forget(run)).toBe(true);
  }

  receipts() {
    return runSql<{ table_name: string; rows: string; digest: string | null }>(
      this.target,
      'SELECT table_name, rows, digest FROM longhaul.receipts ORDER BY 1, partition',
    );
  }
}

const job = (extra: object = {}, table: object = {}): object => ({
  ...{ name: 'nightly', source: 'shop', destination: 'warehouse', onFailure: 'fail' },
  tables: [{ from: 'public.items', verify: 'checksum', partition: { by: 'id', count: 4 }, ...table }],
  ...extra,
});

async function verify(queue: string, run: string, more: Partial<VerifyJobInput> = {}) {
  const input: VerifyJobInput = { run, destination: 'warehouse', parallelism: 2, keys: 5, ...more };
  const handle = await tests.temporal.client.workflow.start('verifyJob', {
    ...{ taskQueue: queue, workflowId: tests.temporal.unique('verify'), args: [input] },
  });
  const report = (await handle.result()) as VerifyReport;
  return { report, history: JSON.stringify(await handle.fetchHistory()) };
}

const differences = (url: string) =>
  runSql<{ partition: number; key: string; difference: string }>(
    url,
    'SELECT partition, key, difference FROM longhaul.differences ORDER BY partition, key',
  );

describe('verify: checksum', () => {
  it('stores the digest of each partition, and publishes what is equal', async () => {
    const pair = await Pair.make();
    await pair.during(async (queue) => {
      const report = await (await tests.startJob(queue, job())).result();
      expect(report.tables[0]).toMatchObject({ phase: 'published', rows: 4000 });
    });
    const receipts = await pair.receipts();
    expect(receipts).toHaveLength(4);
    for (const { digest } of receipts) expect(digest).toMatch(/^[0-9a-f]{8}:-?\d+$/);
  });

  it.each([
    ['a value changed', `UPDATE STAGING SET note = 'x' WHERE id = 3999`, /differs in partition 4\/4/],
    [
      'a row dropped and another doubled',
      `DELETE FROM STAGING WHERE id = 1; INSERT INTO STAGING SELECT * FROM STAGING WHERE id = 2`,
      /differs in partition 1\/4/,
    ],
    [
      'a row too many',
      `INSERT INTO STAGING VALUES (-5, 'x', 1)`,
      /4,000 rows were read at the source and 4,001 rows lie in/,
    ],
  ])('publishes nothing after %s in staging', async (_, change, message) => {
    const pair = await Pair.make();
    await runSql(pair.target, `CREATE TABLE items (id int NOT NULL, note text NOT NULL, price numeric(10,2))`);
    await runSql(pair.target, `INSERT INTO items VALUES (0, 'as it was', 0)`);
    const real = pair.activities;
    const corrupted: LonghaulActivities['verifyTable'] = async (ref) => {
      const [found] = await runSql<{ staging: string }>(pair.target, 'SELECT staging FROM longhaul.run_tables');
      await runSql(pair.target, change.replaceAll('STAGING', found!.staging));
      return real.verifyTable(ref);
    };
    await pair.during(
      async (queue) => {
        const failure = await failureOfWorkflow(await tests.startJob(queue, job()));
        expect(failure.message).toMatch(message);
        expect(failure.message).toContain('the target was left as it was');
      },
      { verifyTable: corrupted },
    );
    expect(await runSql(pair.target, 'SELECT note FROM items')).toEqual([{ note: 'as it was' }]);
  });

  it('says that staging is gone, and compares nothing else in its place', async () => {
    const pair = await Pair.make();
    await runSql(pair.target, `CREATE TABLE items (id int NOT NULL, note text NOT NULL, price numeric(10,2))`);
    const real = pair.activities;
    const dropped: LonghaulActivities['verifyTable'] = async (ref) => {
      const [found] = await runSql<{ staging: string }>(pair.target, 'SELECT staging FROM longhaul.run_tables');
      await runSql(pair.target, `DROP TABLE IF EXISTS ${found!.staging}`);
      return real.verifyTable(ref);
    };
    await pair.during(
      async (queue) => {
        const failure = await failureOfWorkflow(await tests.startJob(queue, job()));
        expect(failure.message).toMatch(/its staging public\._longhaul_\w+ is gone/);
      },
      { verifyTable: dropped },
    );
  });

  it('says that a query which gives other rows each time can not be verified', async () => {
    const pair = await Pair.make();
    const queries = [{ id: 'all', sql: 'SELECT id, random() AS r FROM public.items' }];
    await pair.during(async (queue) => {
      const tables = [{ table: 'guess', to: 'public.guess', verify: 'checksum', queries }];
      const failure = await failureOfWorkflow(await tests.startJob(queue, job({ tables })));
      expect(failure.message).toContain("can't be told, since its partitions are queries");
      expect(failure.message).toContain('no random()');
      const some = [{ id: 'some', sql: 'SELECT id FROM public.items WHERE random() < 0.5' }];
      const other = [{ table: 'some', to: 'public.some', verify: 'checksum', queries: some }];
      const counted = await failureOfWorkflow(await tests.startJob(queue, job({ tables: other })));
      expect(counted.message).toMatch(/gave \d+ rows to the copy and \d+ to its digest/);
    });
    expect(await runSql(pair.target, `SELECT to_regclass('public.guess') AS there`)).toEqual([{ there: null }]);
  });
});

describe('longhaul verify', () => {
  it('finds equal what is equal, and tells which side changed, where, and by which keys', async () => {
    const pair = await Pair.make();
    await pair.during(async (queue) => {
      const { run } = await (await tests.startJob(queue, job())).result();
      expect((await verify(queue, run)).report).toMatchObject({
        equal: true,
        tables: [{ verdict: 'equal', differing: [] }],
      });

      await runSql(pair.target, `UPDATE items SET note = 'x' WHERE id = 10; DELETE FROM items WHERE id = 11`);
      const target = await verify(queue, run);
      expect(target.report).toMatchObject({
        equal: false,
        tables: [
          {
            verdict: 'target changed',
            rows: { source: 4000, copied: 4000, target: 3999 },
            differing: [{ ordinal: 0, verdict: 'target changed', keys: 2 }],
          },
        ],
      });
      expect(await differences(pair.target)).toEqual([
        { partition: 0, key: '["10"]', difference: 'differs' },
        { partition: 0, key: '["11"]', difference: 'only in source' },
      ]);

      await runSql(pair.source, `INSERT INTO items VALUES (5000, 'new', 1)`);
      const both = await verify(queue, run);
      expect(both.report.tables[0]).toMatchObject({
        verdict: 'both changed',
        differing: [{ verdict: 'target changed' }, { ordinal: 3, verdict: 'source changed', keys: 1 }],
      });
      await runSql(pair.source, 'TRUNCATE items');
      await runSql(pair.target, 'TRUNCATE items');
      expect((await verify(queue, run)).report.equal).toBe(true);
      expect(await differences(pair.target)).toEqual([]);
    });
  });

  it('compares nothing on a worker whose connection leads elsewhere', async () => {
    const [pair, other] = [await Pair.make(), await Pair.make()];
    const wrong = new Pair(other.source, pair.target).activities;
    const said: unknown[] = [];
    const first: LonghaulActivities['comparePartitions'] = async (input) => {
      if (said.length > 0) return pair.activities.comparePartitions(input);
      said.push('asked');
      return wrong.comparePartitions(input).catch((error: unknown) => {
        said.push((error as { code?: unknown }).code);
        throw error;
      });
    };
    await pair.during(
      async (queue) => {
        const { run } = await (await tests.startJob(queue, job())).result();
        await runSql(other.source, 'DELETE FROM items');
        expect((await verify(queue, run, { parallelism: 1 })).report.equal).toBe(true);
      },
      { comparePartitions: first },
    );
    expect(said[1]).toBe('ConnectionMismatch');
  });

  it('compares runs without digests, and says what it can not tell', async () => {
    const pair = await Pair.make();
    await pair.during(async (queue) => {
      const { run } = await (await tests.startJob(queue, job({}, { verify: 'counts' }))).result();
      expect((await pair.receipts())[0]!.digest).toBeNull();
      expect((await verify(queue, run)).report.equal).toBe(true);
      await runSql(pair.source, `UPDATE items SET note = 'x' WHERE id = 10`);
      expect((await verify(queue, run)).report.tables[0]).toMatchObject({ verdict: 'differs' });
      await runSql(pair.source, `DELETE FROM items WHERE id = 10`);
      expect((await verify(queue, run)).report.tables[0]).toMatchObject({ verdict: 'source changed' });
    });
  });

  it('compares a target as a whole where its rows can not be told apart, and keeps keys out of history', async () => {
    const pair = await Pair.make();
    await pair.during(async (queue) => {
      const tables = ['public.words', 'public.codes'].map((from) => ({
        from,
        verify: 'checksum',
        partition: { count: 3 },
      }));
      const { run } = await (await tests.startJob(queue, job({ tables }))).result();
      await runSql(pair.target, `UPDATE words SET n = 0 WHERE n = 7; UPDATE codes SET n = 0 WHERE n = 7`);
      const { report, history } = await verify(queue, run);
      expect(report.tables).toMatchObject([
        {
          table: 'public.words',
          verdict: 'target changed',
          differing: [],
          note: expect.stringContaining('may sort otherwise') as string,
        },
        { table: 'public.codes', verdict: 'target changed', differing: [{ keys: 1 }] },
      ]);
      expect((await differences(pair.target)).map(({ key }) => key)).toEqual([`["${CANARY}-7"]`]);
      expect(history).not.toContain(CANARY);
      expect(history).not.toContain(Buffer.from(CANARY).toString('base64').slice(0, 12));
    });
  });

  it('does not call the rows of others in an appended target a difference, but lost ones', async () => {
    const pair = await Pair.make();
    await pair.during(async (queue) => {
      const { run } = await (await tests.startJob(queue, job({ mode: 'append' }))).result();
      expect((await verify(queue, run)).report.equal).toBe(true);
      await runSql(pair.target, `INSERT INTO items VALUES (9999, 'other', 0)`);
      expect((await verify(queue, run)).report.tables[0]).toMatchObject({ verdict: 'undecided' });
      await runSql(pair.target, `DELETE FROM items WHERE id IN (9999, 5)`);
      expect((await verify(queue, run)).report.tables[0]).toMatchObject({ verdict: 'target changed' });
    });
  });

  it('is never green for what the ledger no longer knows', async () => {
    const pair = await Pair.make();
    await pair.during(async (queue) => {
      const { run } = await (await tests.startJob(queue, job())).result();
      await runSql(pair.target, 'DELETE FROM longhaul.receipts WHERE partition = 2');
      const lost = expect.stringContaining('lacks the receipts of 1 partition of public.items') as string;
      expect((await verify(queue, run)).report).toMatchObject({
        equal: false,
        tables: [{ verdict: 'failed', note: lost }],
      });
      await runSql(pair.target, 'DELETE FROM longhaul.receipts');
      expect((await verify(queue, run)).report.equal).toBe(false);
      await runSql(pair.target, 'UPDATE longhaul.run_tables SET partitions = 0');
      expect((await verify(queue, run)).report).toMatchObject({ equal: false, tables: [{ verdict: 'failed' }] });
      await pair.forget(run);
      await expect(verify(queue, run)).rejects.toMatchObject({
        cause: { message: expect.stringContaining('its plan and receipts were cleaned away') as string },
      });
    });
  });

  it('says what it can not compare', async () => {
    const pair = await Pair.make();
    await pair.during(async (queue) => {
      const { run } = await (await tests.startJob(queue, job())).result();
      await expect(verify(queue, run, { tables: ['public.item'] })).rejects.toMatchObject({
        cause: { message: expect.stringContaining('Did you mean "public.items"?') as string },
      });
      await expect(verify(queue, 'no-such-run')).rejects.toMatchObject({ cause: { type: 'JobInvalid' } });
      await runSql(pair.source, 'DROP TABLE items');
      const { report } = await verify(queue, run);
      expect(report).toMatchObject({
        equal: false,
        tables: [{ verdict: 'failed', note: expect.stringContaining('gone') as string }],
      });
    });
  });
});

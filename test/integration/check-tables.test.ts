import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { boundedProblems } from '../../activities/findings.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import { checkFixture, type CheckFixture } from '../support/check-fixture.js';
import { attemptOf, check } from '../support/checking.js';
import { connectionTo } from '../support/connection.js';
import { runSql } from '../support/postgres.js';

/** Checks of targets that others use, of tables that are elsewhere, and of very many tables. */

let fixture: CheckFixture;
let urls: CheckFixture['urls'];
beforeAll(async () => {
  fixture = await checkFixture();
  ({ urls } = fixture);
});
afterAll(() => fixture.stop());

const atWarehouse = (text: string) => runSql(urls.warehouse, text);

describe('targets', () => {
  const session = async () =>
    createPostgresConnector(connectionTo('warehouse', urls.warehouse)).openDestination(attemptOf().session());

  /** A run in the ledger, as openRun makes it, in this state. */
  async function run(id: string, job: object, state: string, workflowId = 'nightly-2026-01-01'): Promise<void> {
    const { checked } = await check(urls, job, { asking: { run: id, tell: 'everything' } });
    await using open = await session();
    await open.ledger.openRun(
      { run: id, job: workflowId, name: 'nightly', startedAt: '2026-01-01T00:00:00Z' },
      checked.records,
      { again: true },
    );
    await atWarehouse(`UPDATE longhaul.run_tables SET state = '${state}' WHERE run = '${id}'`);
  }

  const close = () => atWarehouse(`UPDATE longhaul.run_tables SET state = 'discarded'`);
  const table = (mode: string) => ({ tables: [{ from: 'sales.orders', to: 'dw.taken', columns: ['id'], mode }] });

  it('that another run holds are told with the holder; a resume of that very run is fine', async () => {
    await run('run-1', table('replace'), 'open');
    const { problems, checked } = await check(urls, table('replace'));
    expect(problems).toMatchInlineSnapshot(
      `"tables[0].to: target dw.taken of connection "warehouse" is held by run run-1 of job nightly-2026-01-01 — wait until that job ends, or cancel it. If its workflow is gone: take the run over with \`resume: run-1\`, or give it up with \`longhaul clean --run run-1 --destination warehouse\`."`,
    );
    // The ledger refuses it itself when the run is opened, as TargetLeased.
    expect(checked.job).toBeDefined();
    expect((await check(urls, { ...table('append'), name: 'other' })).problems).toContain('is held by run run-1');
    expect((await check(urls, { ...table('replace'), resume: 'run-1' })).problems).toBe('');
    await close();
    expect((await check(urls, table('replace'))).problems).toBe('');
  });

  it('to which a job of this name has appended are refused, unless again', async () => {
    const append = table('append');
    await run('run-2', append, 'published');
    const { problems, checked } = await check(urls, append);
    expect(problems).toMatchInlineSnapshot(
      `"tables[0].to: a job of this name has appended to dw.taken already (run run-2 of job nightly-2026-01-01 on 2026-01-01): its rows would be there twice — add \`again: true\` if that is meant, or \`resume: run-2\` if that run did not finish."`,
    );
    expect(checked.job).toBeUndefined();
    expect((await check(urls, { ...append, again: true })).problems).toBe('');
    expect((await check(urls, { ...append, name: 'other' })).problems).toBe('');
    expect((await check(urls, { ...append, resume: 'run-2' })).problems).toBe('');
    expect((await check(urls, table('replace'))).problems).toBe('');
    await close();
    expect((await check(urls, append)).problems).toBe('');
  });

  it('to which a run has appended again are its own to resume, beside the append that was there before it', async () => {
    const append = table('append');
    await run('run-first', append, 'published');
    await run('run-again', append, 'suspended');
    expect((await check(urls, { ...append, resume: 'run-again' })).problems).toContain('(run run-first of job');
    expect((await check(urls, { ...append, resume: 'run-again', again: true })).problems).toBe('');
    await close();
  });

  it('to which one is appending now, or has made single partitions visible, as well', async () => {
    const append = table('append');
    await run('run-3', append, 'open');
    expect((await check(urls, append)).problems).toContain('has appended to dw.taken already (run run-3');
    await close();
    const each = { tables: [{ ...append.tables[0], publish: 'partition' }] };
    await run('run-4', each, 'suspended');
    expect((await check(urls, each)).problems).toBe('');
    await atWarehouse(`INSERT INTO longhaul.receipts (run, table_name, partition, predicate_hash, state, rows, bytes, attempt, started_at, committed_at)
      VALUES ('run-4', 'sales.orders', 0, 'x', 'committed', 1, 1, 1, now(), now())`);
    expect((await check(urls, each)).problems).toContain('has appended to dw.taken already (run run-4');
    await close();
    expect((await check(urls, each)).problems).toContain('has appended to dw.taken already (run run-4');
  });
});

describe('foreign tables', () => {
  beforeAll(() =>
    runSql(
      urls.shop,
      `CREATE SCHEMA away; CREATE EXTENSION file_fdw SCHEMA away; CREATE SERVER elsewhere FOREIGN DATA WRAPPER file_fdw;
       CREATE FOREIGN TABLE away.far (id int) SERVER elsewhere OPTIONS (filename '/dev/null');
       CREATE TABLE away.parts (id int) PARTITION BY LIST (id); CREATE TABLE away.near PARTITION OF away.parts FOR VALUES IN (1);
       CREATE FOREIGN TABLE away.part PARTITION OF away.parts FOR VALUES IN (2) SERVER elsewhere OPTIONS (filename '/dev/null');
       CREATE VIEW away.seen AS SELECT id FROM away.parts UNION ALL SELECT id FROM away.far;
       CREATE MATERIALIZED VIEW away.stored AS SELECT id FROM away.far; CREATE TABLE away.own (id int)`,
    ),
  );
  const tables = [
    ...['far', 'parts', 'seen', 'stored', 'own'].map((name) => ({ from: `away.${name}`, to: `dw.${name}` })),
    { table: 'q', to: 'dw.q', queries: [{ id: 1, sql: 'SELECT id FROM sales.orders JOIN away.seen USING (id)' }] },
  ];

  it('are warned of under a snapshot, however they are read', async () => {
    const { problems, warnings } = await check(urls, { consistency: 'snapshot', tables });
    expect(problems).toBe('');
    expect(warnings).toMatchInlineSnapshot(`
      "tables[0].from: the snapshot does not cover foreign tables, whose rows are on another server: away.far. Each partition reads them as they are at that moment — keep them unchanged while the job runs, or leave them out
      tables[1].from: the snapshot does not cover foreign tables, whose rows are on another server: away.part. Each partition reads them as they are at that moment — keep them unchanged while the job runs, or leave them out
      tables[2].from: the snapshot does not cover foreign tables, whose rows are on another server: away.far, away.part. Each partition reads them as they are at that moment (also tables[5]) — keep them unchanged while the job runs, or leave them out"
    `);
  });

  it('are nothing special without one', async () => {
    expect((await check(urls, { tables })).warnings).toBe('');
  });
});

describe('a check', () => {
  const COUNTERS = `SELECT relname, seq_scan, idx_scan, seq_tup_read, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables
    WHERE schemaname IN ('sales', 'hidden', 'dw', 'locked') ORDER BY 1`;
  const OBJECTS = `SELECT c.oid, c.relname, c.relfilenode, c.xmin::text FROM pg_class c ORDER BY 1`;

  it('reads no row of a table and writes nothing', async () => {
    const look = async () => [
      await runSql(urls.shop, COUNTERS),
      await runSql(urls.warehouse, COUNTERS),
      await runSql(urls.shop, OBJECTS),
      await runSql(urls.warehouse, OBJECTS),
      await runSql(urls.warehouse, 'SELECT * FROM longhaul.runs ORDER BY run'),
    ];
    const before = await look();
    const found = await check(urls, {
      tables: [
        { from: 'sales.orders', to: 'dw.fresh', where: 'amount > 5' },
        { from: 'sales.lines', to: 'dw.foreign_owned', partition: { by: 'order_id' } },
        { table: 'q', to: 'dw.q', queries: [{ id: 1, sql: 'SELECT count(*) AS n FROM sales.orders' }] },
      ],
    });
    expect(found.problems).toBe('');
    // What a backend has counted is reported when it ends, if not before.
    await runSql(urls.shop, 'SELECT pg_stat_force_next_flush()');
    expect(await look()).toEqual(before);
  });

  it('of 800 tables takes seconds, over several sessions, and its answer stays a payload', async () => {
    await runSql(urls.shop, `CREATE SCHEMA many; SELECT 1`);
    await runSql(
      urls.shop,
      `DO $$ BEGIN FOR i IN 1..800 LOOP EXECUTE format('CREATE TABLE many.t%s (id bigint PRIMARY KEY, note text DEFAULT %L)', i, 'x'); END LOOP; END $$`,
    );
    await atWarehouse('CREATE SCHEMA many');
    const started = Date.now();
    const { checked } = await check(urls, { tables: ['many.*'] });
    console.log(`800 tables were checked in ${Date.now() - started} ms`);
    expect(checked.problems).toEqual([]);
    expect(checked.job!.tables).toHaveLength(800);
    expect(checked.records.map(({ spec }) => spec.table)).toEqual(checked.job!.tables.map(({ table }) => table));
    // The same of every table is said once.
    expect(checked.warnings).toEqual([
      {
        path: 'tables[0]',
        message:
          "many.t1: the new target won't have the defaults and identities of note (also many.t10, many.t100, many.t101 and 796 more)",
      },
    ]);
    await runSql(urls.shop, 'SELECT 1');
  });

  it('answers within what a payload may hold, and says how many are left out', () => {
    const problems = Array.from({ length: 20_000 }, (_, n) => ({
      path: `tables[${n}]`,
      message: `${'ü'.repeat(3_000)} ${n}`,
      fix: 'x',
    }));
    const { shown, more } = boundedProblems(problems, 400_000);
    expect(Buffer.byteLength(JSON.stringify(shown))).toBeLessThan(401_000);
    expect(shown.length + more).toBe(20_000);
    expect(shown[0]!.message).toMatch(/ü…$/);
  });
});

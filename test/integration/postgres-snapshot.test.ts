import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import type { TableRecord } from '../../src/core/model.js';
import { always, code, never, prefixOf, TEN, snapshotSource } from '../support/snapshot-source.js';
import { until } from '../support/workflows.js';

/** A snapshot at a real source: who reads under it, what ends it, and what it keeps from being changed. */

const { sql, openHolder, openSource, tableOf, hold, rowsOf, holders, asleep, blocked, connect } =
  snapshotSource('snapshot_test');

describe('a held snapshot', () => {
  test('is what every reader sees, whatever is written meanwhile, and is gone with its holder', async () => {
    const record = await tableOf();
    const { ended, stop } = await hold(record);
    await sql(
      `UPDATE ${record.spec.table} SET n = n + 100; DELETE FROM ${record.spec.table} WHERE id < 3; INSERT INTO ${record.spec.table} VALUES (99, 99)`,
    );
    expect(await rowsOf(record)).toEqual(TEN);
    stop();
    expect(await ended).toMatchObject({ message: 'stopped' });
    await until(async () => (await holders(record)).length === 0);
    await expect(rowsOf(record)).rejects.toEqual(code('SnapshotLost'));
  });

  test('keeps its tables from being truncated, rewritten or dropped', async () => {
    const record = await tableOf();
    const { stop } = await hold(record);
    const { table } = record.spec;
    for (const statement of [`TRUNCATE ${table}`, `ALTER TABLE ${table} ALTER n TYPE bigint`, `DROP TABLE ${table}`])
      await blocked(statement);
    stop();
  });

  test('is imported by the next holder while one lives, and survives that one', async () => {
    const record = await tableOf();
    const first = await hold(record);
    await sql(`DELETE FROM ${record.spec.table}`);
    const second = await hold(record, always);
    first.stop();
    await first.ended;
    expect(await rowsOf(record)).toEqual(TEN);
    await blocked(`TRUNCATE ${record.spec.table}`);
    const third = await hold(record, always);
    second.stop();
    await second.ended;
    expect(await rowsOf(record)).toEqual(TEN);
    third.stop();
  });

  test('stays at the server for its lease when its holder leaves', async () => {
    const record = await tableOf();
    const first = await hold(record);
    await asleep(record);
    await sql(`DELETE FROM ${record.spec.table}`);
    await first.holder.leave();
    expect(await first.ended).toBe('left');
    expect(await rowsOf(record)).toEqual(TEN);
    const second = await hold(record, always);
    for (const { pid } of (await holders(record)).slice(0, 1)) await sql(`SELECT pg_terminate_backend(${pid})`);
    await until(async () => (await holders(record)).length === 1);
    expect(await rowsOf(record)).toEqual(TEN);
    second.stop();
  });

  test('is renewed: its sleep begins anew in the same transaction', async () => {
    const record = await tableOf();
    const { stop } = await hold(record);
    await asleep(record);
    const [before] = await holders(record);
    await sql(`DELETE FROM ${record.spec.table}`);
    await until(async () => {
      const [now] = await holders(record);
      return now!.query.includes('pg_sleep') && now!.started !== before!.started;
    });
    expect(await rowsOf(record)).toEqual(TEN);
    stop();
  });

  test('ends with its lease when its holder is frozen between two sleeps', async () => {
    const record = await tableOf();
    const holder = await openHolder(undefined, { seconds: 1, renewEvery: 50 });
    await holder.hold(record, [record], never);
    expect(await holders(record)).toHaveLength(1);
    await until(async () => (await holders(record)).length === 0);
  });

  test('is left in any moment of its renewals', async () => {
    for (let round = 0; round < 20; round++) {
      const record = await tableOf();
      const { holder, ended } = await hold(record, never, { seconds: 30, renewEvery: 1 });
      await sleep(round);
      await holder.leave();
      expect(await ended).toBe('left');
      expect(await rowsOf(record)).toEqual(TEN);
      for (const { pid } of await holders(record)) await sql(`SELECT pg_terminate_backend(${pid})`);
    }
  });

  test('survives somebody else cancelling its sleep', async () => {
    const record = await tableOf();
    const { stop } = await hold(record);
    await asleep(record);
    const [{ pid } = { pid: 0 }] = await holders(record);
    await sql(`SELECT pg_cancel_backend(${pid})`);
    await asleep(record);
    expect(await rowsOf(record)).toEqual(TEN);
    stop();
  });

  test('is not taken a second time: what was taken and has no holder is lost', async () => {
    const record = await tableOf();
    await expect(hold(record, always)).rejects.toEqual(code('SnapshotLost'));
    const { ended } = await hold(record);
    for (const { pid } of await holders(record)) await sql(`SELECT pg_terminate_backend(${pid})`);
    expect(await ended).toEqual(code('ConnectionFailed'));
    await expect(hold(record, always)).rejects.toEqual(code('SnapshotLost'));
  });

  test('is one snapshot, when many would take it at the same time', async () => {
    const record = await tableOf();
    let was = false;
    const taken = async () => {
      await sleep(50);
      return was;
    };
    const writer = { on: true };
    const written = (async () => {
      for (let i = 100; writer.on; i++) await sql(`INSERT INTO ${record.spec.table} VALUES (${i}, ${i})`);
    })();
    const all = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const held = await hold(record, taken);
        was = true;
        return held;
      }),
    );
    writer.on = false;
    await written;
    const seen: number[][] = [];
    for (const { stop, ended } of all) {
      seen.push(await rowsOf(record));
      stop();
      await ended;
    }
    expect(new Set(seen.map((rows) => rows.join())).size).toBe(1);
  });
});

describe('a table that was rewritten since the snapshot', () => {
  /** Holds a snapshot, and no table with it. */
  async function unlocked(record: TableRecord): Promise<Client> {
    const client = await connect();
    const prefix = prefixOf(record);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    await client.query(`SELECT set_config('application_name', '${prefix}' || pg_export_snapshot(), false)`);
    return client;
  }

  test.each(['TRUNCATE', 'VACUUM FULL', 'CLUSTER', 'recreated', 'swapped'])('is refused after %s', async (how) => {
    const record = await tableOf();
    const { table } = record.spec;
    await unlocked(record);
    expect(await rowsOf(record)).toEqual(TEN);
    if (how === 'TRUNCATE') await sql(`TRUNCATE ${table}`);
    else if (how === 'VACUUM FULL') await sql(`VACUUM FULL ${table}`);
    else if (how === 'CLUSTER') await sql(`CLUSTER ${table} USING ${table.split('.')[1]!}_pkey`);
    else if (how === 'recreated') await sql(`DROP TABLE ${table}; CREATE TABLE ${table} (id int PRIMARY KEY, n int)`);
    else
      await sql(
        `ALTER TABLE ${table} RENAME TO ${table.split('.')[1]!}_old; CREATE TABLE ${table} (id int PRIMARY KEY, n int)`,
      );
    await expect(rowsOf(record)).rejects.toEqual(code('SourceRewritten'));
    if (how !== 'recreated' && how !== 'swapped')
      await expect(hold(record, always)).rejects.toEqual(code('SourceRewritten'));
  });

  test('is refused behind a view, a query and a materialized view as well', async () => {
    for (const kind of ['VIEW', 'MATERIALIZED VIEW']) {
      const record = await tableOf(kind);
      await unlocked(record);
      expect(await rowsOf(record)).toEqual(TEN);
      const { table } = record.spec;
      await sql(kind === 'VIEW' ? `TRUNCATE ${table}_rows` : `REFRESH MATERIALIZED VIEW ${table}`);
      await expect(rowsOf(record)).rejects.toEqual(code('SourceRewritten'));
    }
    const {
      spec: { table },
    } = await tableOf();
    const queries = [{ id: 'all', sql: `SELECT * FROM ${table}` }];
    const { from: _, ...rest } = (await tableOf()).spec;
    const source = await openSource();
    const spec = { ...rest, queries };
    const { shape, columns } = (await source.describe(spec)).table!;
    const record = { ...(await tableOf()), spec, shape, columns };
    await unlocked(record);
    const partition = { label: 'all', predicate: queries[0]!.sql };
    expect(await rowsOf(record, partition)).toEqual(TEN);
    await sql(`VACUUM FULL ${table}`);
    await expect(rowsOf(record, partition)).rejects.toEqual(code('SourceRewritten'));
  });
});

test('views, materialized views, foreign tables and leaves are locked by a holder', async () => {
  await sql(
    `CREATE TABLE public.parted (id int, n int) PARTITION BY LIST (id); CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES IN (1)`,
  );
  const view = await tableOf('VIEW');
  const materialized = await tableOf('MATERIALIZED VIEW');
  const base = await tableOf();
  const parted = { ...base, spec: { ...base.spec, table: 'public.parted', from: 'public.parted' } };
  const holder = await openHolder();
  await holder.hold(base, [view, materialized, parted], never);
  await blocked(`TRUNCATE ${view.spec.table}_rows`);
  await blocked(`REFRESH MATERIALIZED VIEW ${materialized.spec.table}`);
  await blocked('TRUNCATE public.parted_1');
});

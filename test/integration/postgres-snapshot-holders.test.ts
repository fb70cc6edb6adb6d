import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { lockKey } from '../../src/connectors/hash.js';
import { openSnapshotSession } from '../../src/connectors/postgres/snapshot/session.js';
import type { TableRecord } from '../../src/core/model.js';
import { always, code, never, prefixOf, QUICK, TEN, snapshotSource } from '../support/snapshot-source.js';
import { until } from '../support/workflows.js';

/** Those that hold a snapshot at a real source, beside each other and one after the other. */

const { sql, options, config, openHolder, tableOf, hold, rowsOf, holders, asleep, named, connect } =
  snapshotSource('snapshot_holders_test');

describe('the holders of a snapshot', () => {
  test('are told with what they keep from vacuum, and ended all together, also those that nobody leads any more', async () => {
    const record = await tableOf();
    const other = await tableOf();
    const kept = await hold(other);
    const left = await hold(record);
    await asleep(record);
    await left.holder.leave();
    const second = await hold(record, always);
    for (let i = 0; i < 3; i++) await sql(`UPDATE ${record.spec.table} SET n = n + 1`);
    // A name of theirs is not enough to be ended.
    const { client } = await named(record);
    const looking = await openHolder();
    const sight = await looking.observe(record);
    expect(sight.holders).toBe(3);
    expect(sight.heldXids).toBeGreaterThanOrEqual(3);
    expect(await looking.release(record)).toBe(2);
    expect(await second.ended).toEqual(code('ConnectionFailed'));
    expect(await holders(record)).toHaveLength(1);
    expect((await looking.observe(other)).holders).toBe(1);
    expect((await client.query('SELECT 1')).rowCount).toBe(1);
    expect(await looking.release(record)).toBe(0);
    kept.stop();
  });

  test('renew their leases at different moments', async () => {
    const record = await tableOf();
    const moments: number[] = [];
    const lease = { seconds: 30, renewEvery: 2_000 };
    for (const turn of [0, 0.5]) {
      const holder = await openHolder(undefined, lease);
      await holder.hold(record, [record], never);
      holder.keep(turn).catch(() => undefined);
    }
    await until(async () => {
      const rows = await sql<{ at: string }>(
        `SELECT (extract(epoch FROM query_start) * 1000)::bigint % 2000 AS at FROM pg_stat_activity
         WHERE starts_with(application_name, '${prefixOf(record)}')
           AND query LIKE '%pg_sleep%' AND query_start > xact_start + interval '2s' ORDER BY backend_start`,
      );
      moments.splice(0, 2, ...rows.map(({ at }) => Number(at)));
      return moments.length === 2;
    });
    // Some way round the clock from each other, however late a busy machine is.
    const apart = Math.abs(moments[0]! - moments[1]!);
    expect(Math.min(apart, 2_000 - apart)).toBeGreaterThan(300);
  });

  test('are not found lost while another one is about to hold, by a reader or by another holder', async () => {
    const record = await tableOf();
    const first = await hold(record);
    const importing = await connect();
    const [{ id } = { id: '' }] = await sql<{ id: string }>(
      `SELECT substr(application_name, ${prefixOf(record).length + 1}) AS id FROM pg_stat_activity
       WHERE starts_with(application_name, '${prefixOf(record)}')`,
    );
    // As a holder that has imported and has no name yet.
    const election = lockKey('longhaul.snapshot', record.run, 1);
    await importing.query(`SELECT pg_advisory_lock_shared(${election})`);
    await importing.query(`BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '${id}'`);
    await sql(`DELETE FROM ${record.spec.table}`);
    first.stop();
    await first.ended;
    await until(async () => (await holders(record)).length === 0);
    expect(await (await openHolder()).observe(record)).toEqual({ holders: 0, electing: true });
    const read = rowsOf(record);
    const second = hold(record, always);
    await sleep(500);
    await importing.query(`SELECT set_config('application_name', $1 || pg_export_snapshot(), false)`, [
      prefixOf(record),
    ]);
    await importing.query(`SELECT pg_advisory_unlock_shared(${election})`);
    expect(await read).toEqual(TEN);
    (await second).stop();
  });
});

describe('an election that does not end', () => {
  const PATIENCE = { other: 500, idle: 300 };

  /** As a worker that is frozen in an election. */
  async function frozen(record: TableRecord, how: '' | '_shared', name = ''): Promise<Client> {
    const client = await connect();
    await client.query(`SELECT pg_advisory_lock${how}(${lockKey('longhaul.snapshot', record.run, 1)})`);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    await client.query(`SELECT set_config('application_name', '${name}', false)`);
    return client;
  }

  async function patient(record: TableRecord & { snapshot: number }, patience = PATIENCE): Promise<void> {
    await using holder = await openSnapshotSession(config(), options(), QUICK, patience);
    await holder.hold(record, [record], never);
  }

  test.each(['', '_shared'] as const)('is ended with a session that is frozen in it%s', async (how) => {
    const record = await tableOf();
    const client = await frozen(record, how);
    await patient(record);
    await expect(client.query('SELECT 1')).rejects.toThrow();
  });

  test('is waited for in vain while its session is not idle for so long, or holds the snapshot by its name', async () => {
    const record = await tableOf();
    const client = await frozen(record, '_shared');
    await expect(patient(record, { other: 500, idle: 60_000 })).rejects.toEqual(code('LockTimeout'));
    await client.query(`SELECT set_config('application_name', '${prefixOf(record)}x', false)`);
    await expect(patient(record)).rejects.toEqual(code('LockTimeout'));
    expect((await client.query('SELECT 1')).rowCount).toBe(1);
  });
});

import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { lockKey } from '../../src/connectors/hash.js';
import { openSourceSession } from '../../src/connectors/postgres/source.js';
import { holderPrefix } from '../../src/connectors/postgres/snapshot/holders.js';
import { openSnapshotSession } from '../../src/connectors/postgres/snapshot/session.js';
import type { SessionOptions, SnapshotSession, SourceSession } from '../../src/connectors/types.js';
import type { TableRecord, TableSpec } from '../../src/core/model.js';
import { connectionTo } from '../support/connection.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/workflows.js';

/** Holders and readers of a snapshot at a real source. */

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
let postgres: TestPostgres;
let url: string;

beforeAll(async () => {
  postgres = await startTestPostgres('source');
  url = await postgres.createDatabase('snapshot_test');
});
afterAll(() => postgres.stop());

const sql = <R extends object>(text: string) => runSql<R>(url, text);
const options = (signal = new AbortController().signal): SessionOptions => ({ signal, log, label: 'test' });
const config = () => connectionTo('shop', url);
const QUICK = { seconds: 30, renewEvery: 50 };

async function openHolder(signal?: AbortSignal, lease = QUICK): Promise<SnapshotSession> {
  const holder = await openSnapshotSession(config(), options(signal), lease);
  onTestFinished(() => holder[Symbol.asyncDispose]());
  return holder;
}

async function openSource(): Promise<SourceSession> {
  const source = await openSourceSession(config(), options());
  onTestFinished(() => source[Symbol.asyncDispose]());
  return source;
}

let runs = 0;
/** A table of ten rows, read under the first snapshot of a run of its own. */
async function tableOf(kind = 'TABLE', more: Partial<TableSpec> = {}): Promise<TableRecord & { snapshot: number }> {
  const name = `public.t${++runs}`;
  if (kind === 'TABLE')
    await sql(
      `CREATE TABLE ${name} (id int PRIMARY KEY, n int); INSERT INTO ${name} SELECT i, i FROM generate_series(1, 10) i`,
    );
  else
    await sql(
      `CREATE TABLE ${name}_rows AS SELECT i AS id, i AS n FROM generate_series(1, 10) i; CREATE ${kind} ${name} AS SELECT * FROM ${name}_rows`,
    );
  const spec: TableSpec = { table: name, from: name, to: 'dw.x', mode: 'replace', partition: { by: 'auto' }, ...more };
  const source = await openSource();
  const { table } = await source.describe(spec);
  const { shape, columns } = table!;
  const rest = { run: `run-${runs}`, source: 'shop', fingerprint: {}, staging: 'dw.s', state: 'open' as const };
  return { ...rest, spec, shape, columns, format: 'postgres.copy.text', snapshot: 1 };
}

const never = () => Promise.resolve(false);
const always = () => Promise.resolve(true);

/** Holds and keeps; what ends the keeping is in `ended`. */
async function hold(record: TableRecord & { snapshot: number }, taken = never, lease = QUICK) {
  const controller = new AbortController();
  const holder = await openHolder(controller.signal, lease);
  await holder.hold(record, [record], taken);
  const ended = holder.keep(0).then(
    () => 'left',
    (error: unknown) => error,
  );
  return { holder, ended, stop: () => controller.abort(new Error('stopped')) };
}

async function rowsOf(record: TableRecord, partition: object = {}): Promise<number[]> {
  await using source = await openSourceSession(config(), options());
  const relation = record.spec.queries === undefined ? { relation: record.spec.table } : {};
  const stream = await source.stream(record, {
    ordinal: 0,
    label: '1/1',
    ...relation,
    predicate: 'TRUE',
    ...partition,
  });
  let text = '';
  for await (const chunk of stream as AsyncIterable<Uint8Array>) text += frames(Buffer.from(chunk));
  return text
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [Number(line.split('\t')[1])]))
    .sort((a, b) => a - b);
}

/** The text of whole CopyData frames. */
function frames(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    text += bytes.subarray(at + 5, at + 1 + bytes.readInt32BE(at + 1)).toString();
  }
  return text;
}

const holders = (record: TableRecord) =>
  sql<{ pid: number; query: string; started: string }>(
    `SELECT pid, query, query_start::text AS started FROM pg_stat_activity WHERE starts_with(application_name, '${holderPrefix({ run: record.run, snapshot: 1 })}')`,
  );

const asleep = (record: TableRecord) =>
  until(async () => (await holders(record)).some(({ query }) => query.includes('pg_sleep')));

const blocked = async (statement: string): Promise<void> => {
  await expect(sql(`SET lock_timeout TO '200ms'; ${statement}`)).rejects.toThrow(/lock timeout/);
};

const TEN = Array.from({ length: 10 }, (_, i) => i + 1);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

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
         WHERE starts_with(application_name, '${holderPrefix({ run: record.run, snapshot: 1 })}')
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
    const importing = new Client({ connectionString: url });
    await importing.connect();
    onTestFinished(() => importing.end());
    const [{ id } = { id: '' }] = await sql<{ id: string }>(
      `SELECT substr(application_name, ${holderPrefix({ run: record.run, snapshot: 1 }).length + 1}) AS id FROM pg_stat_activity
       WHERE starts_with(application_name, '${holderPrefix({ run: record.run, snapshot: 1 })}')`,
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
      holderPrefix({ run: record.run, snapshot: 1 }),
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
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    onTestFinished(() => client.end());
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
    await client.query(
      `SELECT set_config('application_name', '${holderPrefix({ run: record.run, snapshot: 1 })}x', false)`,
    );
    await expect(patient(record)).rejects.toEqual(code('LockTimeout'));
    expect((await client.query('SELECT 1')).rowCount).toBe(1);
  });
});

/** A session that has the name of a holder, and holds nothing. */
async function named(record: TableRecord): Promise<{ client: Client }> {
  const client = new Client({
    connectionString: url,
    application_name: `${holderPrefix({ run: record.run, snapshot: 1 })}0-1-1`,
  });
  await client.connect();
  onTestFinished(() => client.end());
  return { client };
}

describe('a table that was rewritten since the snapshot', () => {
  /** Holds a snapshot, and no table with it. */
  async function unlocked(record: TableRecord): Promise<Client> {
    const client = new Client({ connectionString: url });
    await client.connect();
    onTestFinished(() => client.end());
    const prefix = holderPrefix({ run: record.run, snapshot: 1 });
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

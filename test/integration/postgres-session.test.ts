import { Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { PostgresConnectionConfig } from '../../src/connectors/postgres/config.js';
import { openSession, type PgSession } from '../../src/connectors/postgres/session.js';
import { slotClass } from '../../src/connectors/postgres/slots.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { startPooler } from '../support/pooler.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };
let postgres: TestPostgres;
let url: string;

beforeAll(async () => {
  postgres = await startTestPostgres('source');
  url = await postgres.createDatabase('session_test');
});

afterAll(async () => {
  await postgres.stop();
});

const configOf = (over: Partial<PostgresConnectionConfig> = {}): PostgresConnectionConfig => ({
  type: 'postgres',
  name: 'warehouse',
  url,
  settings: {},
  maxSessions: 10,
  ledgerSchema: 'longhaul',
  ...over,
});

const open = (
  over: Partial<PostgresConnectionConfig> = {},
  signal = new AbortController().signal,
): Promise<PgSession> => openSession(configOf(over), { signal, log: quiet, label: 'test' }, 'destination');

const show = async (session: PgSession, name: string) =>
  (await session.query<{ v: string }>('SELECT current_setting($1) AS v', [name]))[0]!.v;

describe('a session', () => {
  test('pins its settings in each transaction, and only there', async () => {
    await using session = await open({ settings: { work_mem: '5MB', TimeZone: 'Asia/Tokyo', 'my.own': 'x' } });
    await session.query(
      `SET search_path = pg_catalog, public; SET TimeZone = 'America/Lima'; SET IntervalStyle = iso_8601;
       SET array_nulls = off; SET xmloption = document; SET standard_conforming_strings = off`,
    );
    await session.begin('source');
    expect(await show(session, 'search_path')).toBe('""');
    expect(await show(session, 'timezone')).toBe('UTC');
    expect(await show(session, 'datestyle')).toBe('ISO, YMD');
    expect(await show(session, 'intervalstyle')).toBe('postgres');
    expect(await show(session, 'row_security')).toBe('off');
    expect(await show(session, 'array_nulls')).toBe('on');
    expect(await show(session, 'xmloption')).toBe('content');
    expect(await show(session, 'standard_conforming_strings')).toBe('on');
    expect(await show(session, 'work_mem')).toBe('5MB');
    expect(await show(session, 'my.own')).toBe('x');
    expect(await show(session, 'transaction_isolation')).toBe('repeatable read');
    expect(await show(session, 'transaction_read_only')).toBe('on');
    await session.rollback();
    expect(await show(session, 'timezone')).toBe('America/Lima');
    await session.begin('destination');
    expect(await show(session, 'transaction_isolation')).toBe('read committed');
    expect(await show(session, 'synchronous_commit')).toBe('on');
    await session.commit();
  });

  test('beginning takes no snapshot, so that one can be imported', async () => {
    await using exporter = await open();
    await using importer = await open();
    await exporter.begin('source');
    const [row] = await exporter.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
    await importer.begin('source');
    await importer.query(`SET TRANSACTION SNAPSHOT '${row!.id}'`);
    await importer.commit();
  });

  test('keeps values exact that JavaScript numbers and dates would not', async () => {
    await using session = await open();
    const [row] = await session.query(
      `SELECT 9007199254740993::int8 AS i, 0.1::numeric AS n, 'infinity'::timestamptz AS t, '{1,2}'::int4[] AS a, true AS b`,
    );
    expect(row).toEqual({ i: '9007199254740993', n: '0.1', t: 'infinity', a: [1, 2], b: true });
  });

  test('committing a failed transaction is not taken for a commit', async () => {
    await using session = await open();
    await session.begin('destination');
    await expect(session.query('SELECT 1/0')).rejects.toMatchObject({ code: 'DataRejected' });
    await expect(session.commit()).rejects.toThrow('COMMIT was answered with ROLLBACK');
  });

  test('an abort ends the statement on the server and rejects with its reason', async () => {
    const abort = new AbortController();
    await using session = await open({}, abort.signal);
    const reason = new Error('stop');
    const sleeping = session.query('SELECT pg_sleep(60)');
    sleeping.catch(() => undefined);
    await waitFor(`SELECT 1 FROM pg_stat_activity WHERE pid = ${session.pid} AND wait_event = 'PgSleep'`, 1);
    abort.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await waitFor(`SELECT 1 FROM pg_stat_activity WHERE pid = ${session.pid}`, 0);
    await expect(session.query('SELECT 1')).rejects.toBe(reason);
  });

  test('an ended backend is a lost connection, and neither the loss nor the goodbye throws elsewhere', async () => {
    await using session = await open();
    const sleeping = session.query('SELECT pg_sleep(60)');
    sleeping.catch(() => undefined);
    await runSql(url, 'SELECT pg_terminate_backend($1)', [session.pid]);
    await expect(sleeping).rejects.toMatchObject({ code: 'ConnectionFailed' });
    await session.rollback();
  });
});

describe('signing in', () => {
  test('asks for probes of a silent peer', async () => {
    const setKeepAlive = vi.spyOn(Socket.prototype, 'setKeepAlive');
    try {
      await using _session = await open();
      expect(setKeepAlive).toHaveBeenCalledWith(true, 10_000);
    } finally {
      setKeepAlive.mockRestore();
    }
  });

  test('tells what is wrong without address or password', async () => {
    const wrong = { url: url.replace(/:[^:@]+@/, ':wr0ng-secret@') };
    const failed = await failure(open(wrong));
    expect(failed).toMatchObject({ code: 'ConnectionFailed' });
    expect(inspect(failed)).toContain('"warehouse"');
    expect(inspect(failed)).not.toMatch(/wr0ng-secret|127\.0\.0\.1/);
    const refused = await failure(open({ url: 'postgres://u:s3cret@127.0.0.1:1/d' }));
    expect(refused).toMatchObject({ code: 'ConnectionFailed' });
    expect(inspect(refused)).not.toMatch(/s3cret|127\.0\.0\.1/);
  });

  test('an unreadable URL is not repeated', async () => {
    const failed = await failure(open({ url: 'postgres://u:p%zz@[bad/d' }));
    expect(failed).toMatchObject({ code: 'ConnectionFailed' });
    expect(inspect(failed)).not.toContain('p%zz');
  });

  test('an abort while waiting for the server', async () => {
    const reason = new Error('stop');
    await expect(open({}, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe('session slots', () => {
  test('a session holds exactly one; when all are taken the next is refused, until one is given back', async () => {
    const first = await open({ maxSessions: 2 });
    await using _second = await open({ maxSessions: 2 });
    expect(await slotsTaken()).toBe(2);
    await expect(open({ maxSessions: 2 })).rejects.toMatchObject({ code: 'SessionLimit' });
    await first[Symbol.asyncDispose]();
    await using _third = await open({ maxSessions: 2 });
    expect(await slotsTaken()).toBe(2);
  });

  const openAs = (config: PostgresConnectionConfig, side: 'source' | 'destination', label = 'test') =>
    openSession(config, { signal: new AbortController().signal, log: quiet, label }, side);

  test('who waits in this process has no connection yet, and gets in when one leaves', async () => {
    const config = configOf({ maxSessions: 2 });
    const first = await openAs(config, 'source', 'gate');
    await using second = await openAs(config, 'source', 'gate');
    const third = openAs(config, 'source', 'gate');
    // Four round trips: a third sign-in would have come by then.
    for (let i = 0; i < 4; i++) await second.query('SELECT 1');
    const count = `SELECT FROM pg_stat_activity WHERE application_name = 'gate'`;
    expect(await runSql(url, count)).toHaveLength(2);
    await first[Symbol.asyncDispose]();
    await using _third = await third;
    await waitFor(count, 2);
  });

  test('a failed sign-in gives its place back', async () => {
    const config = configOf({ maxSessions: 1, url: 'postgres://u:p@127.0.0.1:1/d' });
    for (let i = 0; i < 2; i++)
      await expect(openAs(config, 'source')).rejects.toMatchObject({ code: 'ConnectionFailed' });
  });

  test('the sides of one connection, and two connections to one database, have their own', async () => {
    const config = configOf({ maxSessions: 1 });
    await using _destination = await openAs(config, 'destination');
    await using _source = await openAs(config, 'source');
    await using _other = await openAs(configOf({ maxSessions: 1, name: 'shop' }), 'destination');
  });
});

describe('poolers', () => {
  const through = (port: number) => url.replace(/:\d+\//, `:${port}/`);

  test.each([1, 2, 3])('a transaction-mode pool of %i is refused, and no slot stays taken in it', async (size) => {
    const pooler = await startPooler(url, 'transaction', size);
    try {
      await expect(open({ url: through(pooler.port) })).rejects.toMatchObject({ code: 'ServerUnsuitable' });
      expect(await slotsTaken()).toBe(0);
    } finally {
      await pooler.close();
    }
  });

  test('a session-mode pool is accepted', async () => {
    const pooler = await startPooler(url, 'session', 2);
    try {
      await using session = await open({ url: through(pooler.port) });
      expect(await session.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    } finally {
      await pooler.close();
    }
  });
});

async function failure(opening: Promise<PgSession>): Promise<unknown> {
  return opening.then(
    () => expect.fail('it was opened'),
    (error: unknown) => error,
  );
}

async function slotsTaken(): Promise<number> {
  const rows = await runSql<{ n: number }>(
    url,
    `SELECT count(*)::int4 AS n FROM pg_locks JOIN pg_database d ON d.oid = database
     WHERE locktype = 'advisory' AND classid::int8 = $1::int8 & 4294967295 AND objsubid = 2 AND datname = current_database()`,
    [slotClass('warehouse', 'destination')],
  );
  return rows[0]!.n;
}

/** Asks until the query has that many rows; the test's own timeout ends it. */
async function waitFor(sql: string, rows: number): Promise<void> {
  while ((await runSql(url, sql)).length !== rows);
}

import { randomUUID } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compileWorkerConfig } from '../../src/config/index.js';
import { createPostgresConnector, type PostgresConnectionConfig } from '../../src/connectors/postgres/index.js';
import { openSession } from '../../src/connectors/postgres/session.js';
import type { TableSpec } from '../../src/core/model.js';
import {
  ALL_IDS,
  code,
  newMeter,
  PARTITIONS,
  ROWS,
  Scene,
  stalling,
  writerOf,
  type Fixture,
} from '../contract/fixture.js';
import { postgresIn } from '../support/connection.js';
import { runSql } from '../support/postgres.js';
import { testServers } from '../support/servers.js';
import { startTlsPostgres, whyNoOpenssl, type TlsPostgres } from '../support/tls.js';

/** Everything that goes over a session's socket goes over TLS: sign-in, SQL, COPY in both directions, cancel requests. */

const noOpenssl = await whyNoOpenssl();

let tls: TlsPostgres | undefined;
beforeAll(async () => {
  if (noOpenssl !== undefined) return;
  tls = await startTlsPostgres();
  if (tls) await runSql(tls.url, 'CREATE SCHEMA dw');
});
afterAll(() => tls?.remove());
beforeEach(({ skip }) => {
  skip(tls === undefined, noOpenssl ?? 'this build of Postgres has no TLS');
});

/** As longhaul.yaml with a URL of these parameters makes it. */
function connection(name: string, parameters: Record<string, string>, host = '127.0.0.1'): PostgresConnectionConfig {
  const url = new URL(tls!.url);
  url.hostname = host;
  for (const [key, value] of Object.entries(parameters)) url.searchParams.set(key, value);
  const raw = { connections: { [name]: { type: 'postgres', url: url.href } } };
  return postgresIn(compileWorkerConfig(raw, '/longhaul.yaml', {}), name);
}

const verified = () => ({ sslmode: 'verify-full', sslrootcert: tls!.ca });

function signIn(config: PostgresConnectionConfig) {
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
  return openSession(config, { signal: new AbortController().signal, label: 'tls test', log }, 'source');
}

function fixture(): Fixture {
  const url = tls!.url;
  return {
    source: createPostgresConnector(connection('source', verified())),
    destination: createPostgresConnector(connection('destination', verified())),
    createSource: async (from, rows) => {
      await runSql(url, `CREATE TABLE ${from} (id int PRIMARY KEY, note text)`);
      // Wide enough for every partition to take many reads of the socket.
      await runSql(url, `INSERT INTO ${from} SELECT i, repeat('x', 4000) FROM generate_series(0, ${rows - 1}) AS i`);
    },
    createTarget: () => Promise.reject(new Error('not needed here')),
    rejects: () => Promise.reject(new Error('not needed here')),
    visible: async (to) => (await runSql<{ id: number }>(url, `SELECT id FROM ${to} ORDER BY id`)).map(({ id }) => id),
    range: (from, to) => `"id" >= ${from} AND "id" < ${to}`,
    sessions: async (label) =>
      (await runSql(url, 'SELECT FROM pg_stat_activity WHERE application_name = $1', [label])).length,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

let scenes = 0;

async function scene(): Promise<Scene> {
  const [from, to] = [`public.items_${++scenes}`, `dw.items_${scenes}`];
  const spec: TableSpec = { table: from, from, to, mode: 'replace', partition: { by: 'auto' } };
  const made = new Scene(fixture(), `run-${randomUUID()}`, spec);
  await made.fixture.createSource(from, ROWS);
  return made;
}

describe('a connection with verify-full and the right authority', () => {
  test('is encrypted', async () => {
    await using session = await signIn(connection('shop', verified()));
    expect((session.client as unknown as { connection: { stream: unknown } }).connection.stream).toBeInstanceOf(
      TLSSocket,
    );
    const [row] = await session.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    expect(row).toEqual({ ssl: true });
  });

  test('copies a table from socket to socket, and publishes it', async () => {
    await using s = await scene();
    const session = await s.destination();
    const record = await s.begun(session);
    expect(record.format).toBe('postgres.copy.binary');
    await s.copyAll(session, record);
    await s.buildAll(session, record);
    expect(await session.publish(record, newMeter())).toMatchObject({ committed: PARTITIONS, rows: ROWS });
    expect(await s.visible()).toEqual(ALL_IDS);
  });

  test('is aborted in mid-copy: nothing is left, not even the session', async () => {
    await using s = await scene();
    const record = await s.begun(await s.destination());
    const [abort, reason, label] = [new AbortController(), new Error('aborted by the test'), 'aborted over tls'];
    {
      const session = await s.destination({ signal: abort.signal, label });
      await using writer = await writerOf(session.begin(record, s.partition(0), 1));
      const stream = stalling(await s.stream(record, s.partition(0)), () => abort.abort(reason));
      await expect(writer.load(stream, newMeter())).rejects.toBe(reason);
    }
    await expect.poll(() => s.fixture.sessions(label), { timeout: 10_000 }).toBe(0);
    expect((await s.copy(await s.destination(), record, 0)).rows).toBe(ROWS / PARTITIONS);
  });

  test('cancels on the server', async () => {
    const abort = new AbortController();
    const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
    const options = { signal: abort.signal, label: 'sleeping over tls', log };
    await using session = await openSession(connection('shop', verified()), options, 'source');
    const asleep = session.query('SELECT pg_sleep(600)');
    asleep.catch(() => undefined);
    const waits = `SELECT FROM pg_stat_activity WHERE pid = ${session.pid} AND wait_event = 'PgSleep'`;
    await expect.poll(async () => (await runSql(tls!.url, waits)).length).toBe(1);
    abort.abort(new Error('stop'));
    await expect(asleep).rejects.toThrow('stop');
    await expect.poll(async () => (await runSql(tls!.url, waits)).length, { timeout: 10_000 }).toBe(0);
  });
});

describe('a connection whose server can not be trusted', () => {
  const refused = (config: PostgresConnectionConfig) => signIn(config).then(() => undefined);
  const distrusted =
    /^Connection "shop": the server's certificate is not from an authority that is trusted here \([A-Z_]+\)$/;

  test.each(['verify-full', 'verify-ca'])('%s with another authority: refused, with what to do', async (sslmode) => {
    const error = refused(connection('shop', { sslmode, sslrootcert: tls!.otherCa }));
    await expect(error).rejects.toThrow(distrusted);
    await expect(error).rejects.toEqual(code('ConnectionFailed'));
    await expect(error).rejects.toMatchObject({ next: expect.stringContaining('sslrootcert') as string });
  });

  test("without an authority of one's own, those of the system decide", async () => {
    await expect(refused(connection('shop', { sslmode: 'verify-full' }))).rejects.toThrow(distrusted);
  });

  test('verify-full compares the host name, verify-ca does not', async () => {
    const here = (sslmode: string) => connection('shop', { sslmode, sslrootcert: tls!.ca }, 'localhost');
    await expect(refused(here('verify-full'))).rejects.toThrow(
      /^Connection "shop": the server's certificate is for another host name \(ERR_TLS_CERT_ALTNAME_INVALID\)$/,
    );
    await refused(here('verify-ca'));
  });

  test('require encrypts and asks no further', async () => {
    await using session = await signIn(connection('shop', { sslmode: 'require' }));
    expect(await session.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).toEqual([{ ssl: true }]);
  });
});

test('a server without TLS is never spoken to in the clear', async () => {
  const plain = new URL(testServers().postgres.source);
  plain.searchParams.set('sslmode', 'require');
  const raw = { connections: { shop: { type: 'postgres', url: plain.href } } };
  const config = postgresIn(compileWorkerConfig(raw, '/longhaul.yaml', {}), 'shop');
  await expect(signIn(config)).rejects.toThrow(/the server does not offer TLS/);
});

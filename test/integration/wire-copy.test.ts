import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  cancelOnServer,
  ConnectionLost,
  CopyIn,
  CopyOut,
  copySocket,
  frameCopyData,
  type CopyMeter,
  pipeFrames,
  ProtocolError,
} from '../../src/connectors/postgres/wire/index.js';
import type { ByteStream } from '../../src/connectors/types.js';
import { startCuttingProxy, type CuttingProxy } from '../support/cutting-proxy.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';

const LOAD = 'COPY sink FROM STDIN (FORMAT binary)';
const rowsTo = (last: number | string) =>
  `COPY (SELECT g, md5(g::text) FROM (SELECT generate_series(1, ${last}::int8) AS g) AS s) TO STDOUT (FORMAT binary)`;
/** Streams (a series in FROM would be stored first) until it is stopped. */
const ENDLESS = rowsTo('1000000000000');

let servers: TestPostgres[] = [];
let urls: { source: string; destination: string };
let proxy: CuttingProxy;
let clients: pg.Client[] = [];

beforeAll(async () => {
  servers = await Promise.all([startTestPostgres('source'), startTestPostgres('destination')]);
  const [source, destination] = await Promise.all(servers.map((server) => server.createDatabase('wire_copy')));
  urls = { source: source!, destination: destination! };
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));

beforeEach(async () => {
  await runSql(urls.destination, 'DROP TABLE IF EXISTS sink');
  await runSql(urls.destination, "CREATE TABLE sink (id int8, t text CHECK (t <> md5('150000')))");
  proxy = await startCuttingProxy(urls.source);
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.end()));
  clients = [];
  proxy.stop();
});

async function connect(url: string, options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, ...options });
  clients.push(client);
  await client.connect();
  return client;
}

async function begun(url: string, options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = await connect(url, options);
  await client.query('BEGIN');
  return client;
}

const direct: pg.ClientConfig = { stream: copySocket };

function read(client: pg.Client, sql: string, signal?: AbortSignal): CopyOut {
  return new CopyOut(client, { sql, format: 'postgres.copy.binary', ...(signal && { signal }) });
}

function load(client: pg.Client, options: { signal?: AbortSignal; sql?: string; meter?: CopyMeter } = {}): CopyIn {
  return new CopyIn(client, { sql: LOAD, ...options });
}

async function sinkCount(): Promise<number> {
  return (await runSql<{ n: number }>(urls.destination, 'SELECT count(*)::int4 AS n FROM sink'))[0]!.n;
}

/** The backend's state, 'gone' if there is none. */
async function stateOf(url: string, pid: number): Promise<string> {
  const rows = await runSql<{ state: string }>(url, 'SELECT state FROM pg_stat_activity WHERE pid = $1', [pid]);
  return rows[0]?.state ?? 'gone';
}

async function pidOf(client: pg.Client): Promise<number> {
  return (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;
}

/** The same stream, known only by its iterator. */
function byIteration(stream: CopyOut): ByteStream {
  const { kind, format, rows } = stream;
  return { kind, format, rows, [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() };
}

describe.each([
  ['a direct socket', direct, false],
  ['data events', {}, false],
  ['an iteration', direct, true],
])('a copy over %s', (_name, options, iterated) => {
  const copied = (stream: CopyOut) => (iterated ? byIteration(stream) : stream);

  it('is exact, counts as it goes, and leaves both sessions as they were, copy after copy', async () => {
    const [from, to] = [await begun(urls.source, options), await begun(urls.destination)];
    const meter = { rows: 0, bytes: 0 };
    for (const last of [100_000, 0, 1]) {
      const counts = await pipeFrames(copied(read(from, rowsTo(last))), load(to, { meter }));
      expect(counts).toEqual({ rowsRead: last, rowsWritten: last });
      expect([from.getTransactionStatus(), to.getTransactionStatus()]).toEqual(['T', 'T']);
    }
    expect(meter.rows).toBeGreaterThanOrEqual(100_001);
    expect(meter.bytes).toBeGreaterThan(100_001 * 50);
    expect((await to.query('COMMIT')).command).toBe('COMMIT');
    expect((await from.query('COMMIT')).command).toBe('COMMIT');
    const sums = 'SELECT count(*)::int4 AS n, sum(id)::text AS s, bool_and(t = md5(id::text)) AS same FROM sink';
    expect(await runSql(urls.destination, sums)).toEqual([{ n: 100_001, s: '5000050001', same: true }]);
  });

  it('keeps notices out of the data and hands them to pg', async () => {
    const noisy = `CREATE FUNCTION pg_temp.noisy(int8) RETURNS int8 LANGUAGE plpgsql AS
      $$ BEGIN IF $1 % 1000 = 0 THEN RAISE NOTICE 'at % %', $1, repeat('x', 3000); END IF; RETURN $1; END $$`;
    const [from, to] = [await connect(urls.source, options), await connect(urls.destination)];
    await from.query(noisy);
    let notices = 0;
    from.on('notice', () => notices++);
    const sql = "COPY (SELECT pg_temp.noisy(g::int8), 'x' FROM generate_series(1, 50000) g) TO STDOUT (FORMAT binary)";
    expect(await pipeFrames(copied(read(from, sql)), load(to))).toEqual({ rowsRead: 50_000, rowsWritten: 50_000 });
    expect(notices).toBe(50);
  });

  it("ends with the source's error: nothing is kept, both sessions take a ROLLBACK", async () => {
    const [from, to] = [await begun(urls.source, options), await begun(urls.destination)];
    const sql = `COPY (SELECT g::int8, (1 / (100000 - g))::text FROM generate_series(1, 200000) g) TO STDOUT (FORMAT binary)`;
    const copy = pipeFrames(copied(read(from, sql)), load(to));
    await expect(copy).rejects.toMatchObject({ code: '22012', severity: 'ERROR' });
    expect([from.getTransactionStatus(), to.getTransactionStatus()]).toEqual(['E', 'E']);
    expect((await to.query('COMMIT')).command).toBe('ROLLBACK');
    await from.query('ROLLBACK');
    expect(await sinkCount()).toBe(0);
  });

  it('ends at once when the destination refuses a row: that session takes a ROLLBACK, the source is stopped', async () => {
    const [from, to] = [await begun(urls.source, options), await begun(urls.destination)];
    const pid = await pidOf(from);
    await expect(pipeFrames(copied(read(from, ENDLESS)), load(to))).rejects.toMatchObject({
      code: '23514',
      table: 'sink',
    });
    expect(to.getTransactionStatus()).toBe('E');
    expect((await to.query('ROLLBACK')).command).toBe('ROLLBACK');
    await expect.poll(() => stateOf(urls.source, pid), { timeout: 2_000 }).toBe('gone');
  });

  it('never completes when the source is terminated', async () => {
    const [from, to] = [await begun(urls.source, options), await connect(urls.destination)];
    const pid = await pidOf(from);
    const slowly = rowsTo(140_000).replace('md5(g::text)', 'pg_sleep(0.0001 * (g % 1000 / 999))::text');
    const copy = pipeFrames(copied(read(from, slowly)), load(to));
    setTimeout(() => void runSql(urls.source, 'SELECT pg_terminate_backend($1)', [pid]), 100);
    await expect(copy).rejects.toMatchObject({ code: '57P01' });
    expect((await to.query<{ n: string }>('SELECT count(*) AS n FROM sink')).rows).toEqual([{ n: '0' }]);
  });

  it.each([
    ['fin', 500],
    ['fin', 8192],
    ['fin', 3_000_000],
    ['reset', 3_000_000],
  ] as const)('never completes after a %s behind %i bytes of the source', async (how, bytes) => {
    const [from, to] = [await connect(proxy.url, options), await connect(urls.destination)];
    proxy.cutAfter(bytes, how);
    const copy = pipeFrames(copied(read(from, rowsTo(100_000))), load(to));
    await expect(copy).rejects.toMatchObject({ code: how === 'fin' ? '08006' : /08006|ECONNRESET/ });
    // In no transaction: CopyDone would have been kept for good.
    expect((await to.query<{ n: string }>('SELECT count(*) AS n FROM sink')).rows).toEqual([{ n: '0' }]);
    await expect(from.query('SELECT 1')).rejects.toThrow();
  });

  it('never completes when all rows and the tag came, but no ReadyForQuery', async () => {
    const [from, to] = [await connect(proxy.url, options), await connect(urls.destination)];
    proxy.cutBeforeReady('fin');
    const stream = read(from, rowsTo(10));
    await expect(pipeFrames(copied(stream), load(to))).rejects.toBeInstanceOf(ConnectionLost);
    await expect(stream.rows).rejects.toBeInstanceOf(ConnectionLost);
    expect(await sinkCount()).toBe(0);
  });

  it('never completes when its sockets are destroyed', async () => {
    for (const side of [0, 1]) {
      const pair = [await connect(urls.source, options), await connect(urls.destination)] as const;
      const pid = await pidOf(pair[0]);
      const copy = pipeFrames(copied(read(pair[0], rowsTo(140_000))), load(pair[1]));
      setTimeout(
        () => (pair[side] as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy(),
        30,
      );
      await expect(copy).rejects.toThrow();
      await expect.poll(() => stateOf(urls.source, pid), { timeout: 2_000 }).toMatch(side === 0 ? /gone/ : /gone|idle/);
      await expect.poll(sinkCount).toBe(0);
    }
  });

  it('is aborted in full flow: rejects with the reason, and nothing runs on', async () => {
    const [from, to] = [await begun(urls.source, options), await begun(urls.destination)];
    const pids = await Promise.all([pidOf(from), pidOf(to)]);
    const abort = new AbortController();
    await to.query('ALTER TABLE sink DROP CONSTRAINT sink_t_check');
    const meter = { rows: 0, bytes: 0 };
    const destination = load(to, { signal: abort.signal, meter });
    const copy = pipeFrames(copied(read(from, ENDLESS, abort.signal)), destination);
    setTimeout(() => abort.abort(new Error('enough')), 300);
    await expect(copy).rejects.toThrow('enough');
    expect(meter.bytes).toBeGreaterThan(1_000_000);
    await expect.poll(() => stateOf(urls.source, pids[0]), { timeout: 2_000 }).toBe('gone');
    await expect.poll(() => stateOf(urls.destination, pids[1]), { timeout: 2_000 }).toBe('gone');
    await expect(to.query('ROLLBACK')).rejects.toThrow();
  });

  it('carries one row of 200 MB without holding it', async () => {
    const [from, to] = [await connect(urls.source, options), await connect(urls.destination)];
    await to.query('ALTER TABLE sink DROP CONSTRAINT sink_t_check, ALTER t SET STORAGE EXTERNAL');
    const before = process.memoryUsage.rss();
    let peak = 0;
    const sampler = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5);
    const sql = "COPY (SELECT 1::int8, repeat('x', 200 * 1024 * 1024)) TO STDOUT (FORMAT binary)";
    expect(await pipeFrames(copied(read(from, sql)), load(to))).toEqual({ rowsRead: 1, rowsWritten: 1 });
    clearInterval(sampler);
    expect((peak - before) / 2 ** 20).toBeLessThan(100);
    expect(await runSql(urls.destination, 'SELECT length(t) AS n FROM sink')).toEqual([{ n: 200 * 1024 * 1024 }]);
  });
});

describe('abort', () => {
  it('stops a source that is blocked by a consumer which does not read', async () => {
    const from = await begun(urls.source, direct);
    const pid = await pidOf(from);
    const abort = new AbortController();
    const chunks = read(from, ENDLESS, abort.signal)[Symbol.asyncIterator]();
    await chunks.next();
    await sleep(500);
    const waits = await runSql(urls.source, 'SELECT wait_event FROM pg_stat_activity WHERE pid = $1', [pid]);
    expect(waits).toEqual([{ wait_event: 'ClientWrite' }]);
    abort.abort(new Error('stop'));
    await sleep(0);
    await expect(chunks.next()).rejects.toThrow('stop');
    await expect.poll(() => stateOf(urls.source, pid), { timeout: 2_000 }).toBe('gone');
  });

  it('stops a source that has sent nothing yet', async () => {
    const from = await begun(urls.source, direct);
    const pid = await pidOf(from);
    const abort = new AbortController();
    const chunks = read(from, 'COPY (SELECT pg_sleep(60)) TO STDOUT', abort.signal)[Symbol.asyncIterator]();
    setTimeout(() => abort.abort(new Error('stop')), 200);
    await expect(chunks.next()).rejects.toThrow('stop');
    await expect.poll(() => stateOf(urls.source, pid), { timeout: 2_000 }).toBe('gone');
  });

  it('stops a destination that waits for a lock, before and within the copy', async () => {
    const [holder, to] = [await begun(urls.destination), await begun(urls.destination)];
    await holder.query('LOCK TABLE sink');
    const pid = await pidOf(to);
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('stop')), 200);
    const copy = pipeFrames(read(await connect(urls.source), rowsTo(5)), load(to, { signal: abort.signal }));
    await expect(copy).rejects.toThrow('stop');
    await expect.poll(() => stateOf(urls.destination, pid), { timeout: 2_000 }).toBe('gone');
  });

  it('stops a consumer that leaves: the source runs no longer', async () => {
    const from = await begun(urls.source, direct);
    const pid = await pidOf(from);
    for await (const _chunk of read(from, ENDLESS)) break;
    await expect.poll(() => stateOf(urls.source, pid), { timeout: 2_000 }).toBe('gone');
  });

  it('does not begin when it came before', async () => {
    const to = await connect(urls.destination);
    expect(() => load(to, { signal: AbortSignal.abort(new Error('early')) })).toThrow('early');
    expect((await to.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('cancels on the server without touching the session', async () => {
    const client = await connect(urls.source);
    const sleeping = client.query('SELECT pg_sleep(60)');
    setTimeout(() => void cancelOnServer(client), 100);
    await expect(sleeping).rejects.toMatchObject({ code: '57014' });
    expect(await cancelOnServer(client)).toBe(true);
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });
});

describe('a destination', () => {
  const format = 'postgres.copy.text';
  const text = (chunks: () => AsyncIterable<Uint8Array>, rows: Promise<number>): ByteStream => {
    rows.catch(() => undefined);
    return { kind: 'bytes', format, rows, [Symbol.asyncIterator]: () => chunks()[Symbol.asyncIterator]() };
  };
  const sql = 'COPY sink FROM STDIN';
  async function* lines(count: number) {
    for (let i = 0; i < count; i++) yield await Promise.resolve(frameCopyData(Buffer.from(`${i}\tline ${i}\n`)));
  }

  it('takes frames of any producer', async () => {
    const to = await connect(urls.destination);
    const stream = text(() => lines(1000), Promise.resolve(1000));
    expect(await pipeFrames(stream, load(to, { sql }))).toEqual({ rowsRead: 1000, rowsWritten: 1000 });
  });

  it.each([
    ['throws', true],
    ['ends, but does not vouch for its rows', false],
  ])('keeps nothing of a producer that %s', async (_what, throws) => {
    const to = await connect(urls.destination);
    const rows = throws ? Promise.resolve(10) : Promise.reject(new Error('broken producer'));
    async function* chunks() {
      yield* lines(10);
      if (throws) throw new Error('broken producer');
    }
    await expect(pipeFrames(text(chunks, rows), load(to, { sql }))).rejects.toThrow('broken producer');
    expect((await to.query<{ n: string }>('SELECT count(*) AS n FROM sink')).rows).toEqual([{ n: '0' }]);
  });

  it('keeps nothing of a producer that ends within a frame or sends something else', async () => {
    for (const last of [frameCopyData(Buffer.from('11\tx\n')).subarray(0, 7), Buffer.from('12\tno frame\n')]) {
      const to = await connect(urls.destination);
      async function* chunks() {
        yield* lines(3);
        yield last;
      }
      await expect(pipeFrames(text(chunks, Promise.resolve(4)), load(to, { sql }))).rejects.toBeInstanceOf(
        ProtocolError,
      );
      expect(await sinkCount()).toBe(0);
    }
  });

  it('is surfaced at once when it fails while its producer says nothing', async () => {
    const to = await begun(urls.destination);
    const pid = await pidOf(to);
    async function* chunks() {
      yield* lines(1);
      await sleep(60_000, undefined, { ref: false });
    }
    setTimeout(() => void runSql(urls.destination, 'SELECT pg_terminate_backend($1)', [pid]), 200);
    const copy = pipeFrames(text(chunks, Promise.resolve(1)), load(to, { sql }));
    await expect(copy).rejects.toMatchObject({ code: '57P01' });
  });

  it('refuses a statement before the source is asked, and leaves both sessions usable', async () => {
    const [from, to] = [await connect(urls.source), await connect(urls.destination)];
    const copy = pipeFrames(read(from, ENDLESS), load(to, { sql: 'COPY nowhere FROM STDIN' }));
    await expect(copy).rejects.toMatchObject({ code: '42P01' });
    for (const client of [from, to]) expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });
});

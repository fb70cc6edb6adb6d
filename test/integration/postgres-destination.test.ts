import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockKey } from '../../src/connectors/hash.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import { openDestinationSession } from '../../src/connectors/postgres/destination/index.js';
import { openSession } from '../../src/connectors/postgres/session.js';
import type { DestinationSession, Meter } from '../../src/connectors/types.js';
import type { Mode, TableRecord, TableSpec } from '../../src/core/model.js';
import { ALL_IDS, code, newMeter, ROWS, Scene, stalling, writerOf } from '../contract/fixture.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { connectionTo } from '../support/connection.js';
import { startCuttingProxy } from '../support/cutting-proxy.js';
import { runSql } from '../support/postgres.js';

let fixture: PostgresFixture;
let tables = 0;

beforeAll(async () => {
  fixture = await postgresFixture('destination_test');
  await fixture.createSource('public.items', ROWS);
});
afterAll(() => fixture[Symbol.asyncDispose]());

function scene(options: { mode?: Mode; to?: string; from?: string; on?: Partial<PostgresFixture> } = {}): Scene {
  const { mode = 'replace', to = `public.target_${++tables}`, from = 'public.items', on = {} } = options;
  const spec: TableSpec = { table: from, from, to, mode, partition: { by: 'auto' } };
  return new Scene({ ...fixture, ...on }, `run-${randomUUID()}`, spec);
}

const sql = <Row extends object>(text: string, values: unknown[] = []) =>
  runSql<Row>(fixture.destinationUrl, text, values);

/** Copied and built: only the publishing is left. */
async function loaded(s: Scene): Promise<{ session: DestinationSession; record: TableRecord }> {
  const session = await s.destination();
  const record = await s.begun(session);
  await s.copyAll(session, record);
  await s.buildAll(session, record);
  return { session, record };
}

async function problems(s: Scene): Promise<string> {
  const { table } = await (await s.source()).describe(s.spec);
  const { findings } = await (await s.destination()).check(s.spec, table!);
  return findings.map(({ severity, message, fix }) => `${severity}: ${message} -> ${fix ?? ''}`).join('\n');
}

/** A session of a test's own, outside of Longhaul. */
async function outsider(name: string): Promise<Client> {
  const client = new Client({ connectionString: fixture.destinationUrl, application_name: name });
  await client.connect();
  return client;
}

describe('a partition', () => {
  it('whose COMMIT went through without an answer is found by the next attempt', async () => {
    const proxy = await startCuttingProxy(fixture.destinationUrl);
    try {
      const destination = createPostgresConnector(connectionTo('destination', proxy.url));
      await using s = scene();
      await using cut = scene({ on: { destination } });
      const session = await s.destination();
      const record = await s.begun(session);
      const writer = await writerOf((await cut.destination()).begin(record, s.partition(0), 1));
      const read = await s.load(writer, record, s.partition(0));
      proxy.cutBeforeText('COMMIT', 'reset');
      await expect(writer.commit(read)).rejects.toEqual(code('ConnectionFailed'));
      await writer[Symbol.asyncDispose]();
      const found = await session.begin(record, s.partition(0), 2);
      expect(found).toMatchObject({ state: 'committed', rows: read, attempt: 1 });
      const staging = await sql<{ n: string }>(`SELECT count(*) AS n FROM ${record.staging}`);
      expect(staging).toEqual([{ n: String(read) }]);
    } finally {
      proxy.stop();
    }
  });

  it('is taken from a zombie by ending the session that pg_locks names', async () => {
    await using s = scene();
    const session = await s.destination();
    const record = await s.begun(session);
    const zombie = await s.destination({ label: 'the zombie' });
    await writerOf(zombie.begin(record, s.partition(0), 7));
    await using _writer = await writerOf(session.begin(record, s.partition(0), 1));
    expect(await fixture.sessions('the zombie')).toBe(0);
  });

  it('of another number is not disturbed', async () => {
    await using s = scene();
    const [one, two] = [await s.destination(), await s.destination()];
    const record = await s.begun(one);
    await using first = await writerOf(one.begin(record, s.partition(0), 1));
    await using second = await writerOf(two.begin(record, s.partition(1), 1));
    await second.commit(await s.load(second, record, s.partition(1)));
    await first.commit(await s.load(first, record, s.partition(0)));
  });

  it('is not staged anew when its staging was dropped', async () => {
    await using s = scene();
    const session = await s.destination();
    const record = await s.begun(session);
    await s.copy(session, record, 0);
    await sql(`DROP TABLE ${record.staging}`);
    await expect(session.prepare(record)).rejects.toEqual(code('TargetChanged'));
    await expect(s.copy(session, record, 1)).rejects.toEqual(code('StatementInvalid'));
  });
});

describe('publishing', () => {
  it('makes a missing target of the source: columns, types, NOT NULL, primary key', async () => {
    await runSql(
      fixture.sourceUrl,
      `CREATE TABLE wide (a bigint, b text COLLATE "C" NOT NULL, c numeric(12,3), d varchar(7)[], e timestamptz(3) DEFAULT now(),
         id int GENERATED ALWAYS AS IDENTITY, f int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (b, id))`,
    );
    await runSql(fixture.sourceUrl, `INSERT INTO wide (b, c) SELECT i::text, i / 8.0 FROM generate_series(1, 50) i`);
    await using s = scene({ from: 'public.wide' });
    expect(await problems(s)).toMatch(/warning: the new target won't have the generated columns f/);
    expect(await problems(s)).toMatch(/warning: the new target won't have the defaults and identities of e, id/);
    const session = await s.destination();
    const record = await s.open(session);
    await session.prepare(record);
    const partition = { ordinal: 0, label: '1/1', relation: 'public.wide', predicate: 'TRUE' };
    await session.ledger.putPlan(s, { partitions: [partition], reason: 'one' });
    await using writer = await writerOf(session.begin(record, partition, 1));
    await writer.commit(await s.load(writer, record, partition));
    const steps = await session.buildSteps(record);
    expect(steps.map(({ label }) => label)).toEqual(['primary key', 'statistics']);
    for (const step of [...steps, ...steps]) await session.build(record, step, newMeter());
    await session.publish(record, newMeter());
    const columns = await sql(
      `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS required, attcollation::regcollation::text AS collation
       FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum`,
      [s.spec.to],
    );
    expect(columns).toEqual([
      { name: 'a', type: 'bigint', required: false, collation: '-' },
      { name: 'b', type: 'text', required: true, collation: '"C"' },
      { name: 'c', type: 'numeric(12,3)', required: false, collation: '-' },
      { name: 'd', type: 'character varying(7)[]', required: false, collation: '"default"' },
      { name: 'e', type: 'timestamp(3) with time zone', required: false, collation: '-' },
      { name: 'id', type: 'integer', required: true, collation: '-' },
    ]);
    const keys = await sql(
      `SELECT conname AS name, pg_get_constraintdef(oid) AS is FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'`,
      [s.spec.to],
    );
    expect(keys).toEqual([{ name: `${s.spec.to.split('.')[1]!}_pkey`, is: 'PRIMARY KEY (b, id)' }]);
  });

  it('refuses rows that violate the key, without naming their values', async () => {
    await using s = scene();
    const session = await s.destination();
    const record = await s.open(session);
    await session.prepare(record);
    const partition = s.partition(0);
    await session.ledger.putPlan(s, {
      partitions: [partition, { ...partition, ordinal: 1 }],
      reason: 'the same twice',
    });
    for (const ordinal of [0, 1]) {
      await using writer = await writerOf(session.begin(record, { ...partition, ordinal }, 1));
      await writer.commit(await s.load(writer, record, partition));
    }
    const [step] = await session.buildSteps(record);
    const built = session.build(record, step!, newMeter());
    await expect(built).rejects.toEqual(code('DataRejected'));
    await expect(built).rejects.toThrow(
      `The key (id) of ${s.spec.to} is not unique: partitions 1/4 and 1/4 both have a row of it. Nothing was published, and the target was left as it was.`,
    );
    expect(await s.visible()).toBeUndefined();
  });

  it('waits for readers with an older view, and for nobody else', async () => {
    await using s = scene();
    const { session, record } = await loaded(s);
    const [reader, idle] = [await outsider('an old reader'), await outsider('an idle one')];
    try {
      await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await reader.query('SELECT 1');
      await idle.query('BEGIN');
      const meter = newMeter();
      const published = session.publish(record, meter);
      await expect
        .poll(() => meter.phase)
        .toMatch(/^waiting for session \d+ \(an old reader\), in a transaction for \d+ s$/);
      expect(await s.visible()).toBeUndefined();
      await using late = scene();
      await loaded(late); // partitions that are being loaded meanwhile, and their readers, don't matter
      await reader.query('COMMIT');
      expect((await published).rows).toBe(ROWS);
      expect(await s.visible()).toEqual(ALL_IDS);
    } finally {
      await reader.end();
      await idle.end();
    }
  });

  it('does not wait for partitions of other tables that are being loaded', async () => {
    await using s = scene();
    await using other = scene();
    const { session, record } = await loaded(s);
    const loading = await other.destination();
    const busy = await other.begun(loading);
    const writer = await writerOf(loading.begin(busy, other.partition(0), 1));
    const stream = await other.stream(busy, other.partition(0));
    let load!: Promise<number>;
    await new Promise<void>((resolve) => {
      load = writer.load(stalling(stream, resolve), newMeter());
    });
    load.catch(() => undefined);
    expect((await session.publish(record, newMeter())).rows).toBe(ROWS);
    await sql(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = '${busy.staging}'::regclass`);
    await expect(load).rejects.toEqual(code('ConnectionFailed'));
  });

  it('does not wait for what another table of Longhaul builds, only for others that see its staging', async () => {
    await using s = scene();
    await using other = scene();
    const { session, record } = await loaded(s);
    const busy = await other.begun(await other.destination());
    const options = { signal: new AbortController().signal, label: 'builder', log: console };
    await using builder = await openSession(connectionTo('other', fixture.destinationUrl), options, 'destination');
    const backup = await outsider('a backup');
    try {
      await builder.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await builder.query(`LOCK TABLE ${busy.staging} IN SHARE MODE`);
      await builder.query('SELECT 1');
      await backup.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await backup.query(`LOCK TABLE ${busy.staging}, ${record.staging} IN ACCESS SHARE MODE`);
      await backup.query('SELECT 1');
      const meter = newMeter();
      const published = session.publish(record, meter);
      await expect
        .poll(() => meter.phase)
        .toMatch(/^waiting for session \d+ \(a backup\), in a transaction for \d+ s$/);
      await backup.query('COMMIT');
      expect((await published).rows).toBe(ROWS);
    } finally {
      await backup.end();
    }
  });

  it.each(['publish', 'close'] as const)('is taken from a zombie in the middle of its swap: %s', async (what) => {
    await using s = scene();
    const { session, record } = await loaded(s);
    const zombie = await outsider('a zombie');
    zombie.on('error', () => undefined);
    const [{ names }] = (await sql<{ names: string }>(
      `SELECT quote_ident(nspname) AS names FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = 'run_tables'`,
    )) as [{ names: string }];
    await zombie.query('BEGIN');
    await zombie.query('SELECT pg_advisory_xact_lock($1)', [lockKey('longhaul.publish', s.run, s.spec.table)]);
    await zombie.query(`SELECT FROM ${names}.run_tables WHERE run = $1 FOR UPDATE`, [s.run]);
    if (what === 'publish') expect((await session.publish(record, newMeter())).rows).toBe(ROWS);
    else await session.ledger.closeRun(s.run, 'suspended');
    await expect(zombie.query('SELECT 1')).rejects.toThrow();
  });

  it('names the reader when it was waited for long enough, and may then be repeated', async () => {
    await using s = scene();
    const { record } = await loaded(s);
    const reader = await outsider('a very old reader');
    const options = { signal: new AbortController().signal, label: 'impatient', log: console };
    const tuning = { publishWait: 300, lockWait: 100, longestPause: 100 };
    await using session = await openDestinationSession(
      connectionTo('destination', fixture.destinationUrl),
      options,
      tuning,
    );
    try {
      await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await reader.query('SELECT 1');
      await expect(session.publish(record, newMeter())).rejects.toThrow(/session \d+ \(a very old reader\)/);
      await expect(session.publish(record, newMeter())).rejects.toEqual(code('LockTimeout'));
      expect((await session.ledger.table(s.run, s.spec.table)).state).toBe('publishing');
    } finally {
      await reader.end();
    }
    await session.publish(record, newMeter());
    expect(await s.visible()).toEqual(ALL_IDS);
  });

  it('ends whoever still has staging in hand, and nobody waits at the target for that', async () => {
    await using s = scene();
    const { session, record } = await loaded(s);
    const holder = await outsider('a holder');
    holder.on('error', () => undefined);
    await holder.query('BEGIN');
    await holder.query(`LOCK TABLE ${record.staging} IN ROW EXCLUSIVE MODE`);
    await session.publish(record, newMeter());
    await expect(holder.query('SELECT 1')).rejects.toThrow();
    expect(await s.visible()).toEqual(ALL_IDS);
  });

  it('tries again while somebody uses the target, saying who', async () => {
    const to = `public.target_${++tables}`;
    await sql(`CREATE TABLE ${to} (id int PRIMARY KEY, note text)`);
    await using s = scene({ to });
    const { record } = await loaded(s);
    const user = await outsider('a user');
    const tuning = { publishWait: 10_000, lockWait: 50, longestPause: 200 };
    const options = {
      signal: new AbortController().signal,
      label: 'publisher',
      log: { ...console, info: () => undefined },
    };
    await using session = await openDestinationSession(
      connectionTo('destination', fixture.destinationUrl),
      options,
      tuning,
    );
    try {
      await user.query('BEGIN');
      await user.query(`LOCK TABLE ${to} IN ACCESS SHARE MODE`);
      const meter: Meter = newMeter();
      const published = session.publish(record, meter);
      await expect.poll(() => meter.phase).toMatch(/^waiting for session \d+ \(a user\) to release/);
      await user.query('COMMIT');
      await published;
    } finally {
      await user.end();
    }
    expect(await s.visible()).toEqual(ALL_IDS);
  });

  it('is refused when the target is not what was checked, and leaves it', async () => {
    const to = `public.target_${++tables}`;
    await sql(`CREATE TABLE ${to} (id int PRIMARY KEY, note text); INSERT INTO ${to} VALUES (-1, 'old')`);
    await using s = scene({ to });
    const { session, record } = await loaded(s);
    await sql(`CREATE VIEW ${to}_view AS SELECT id FROM ${to}`);
    await expect(session.publish(record, newMeter())).rejects.toThrow(/view public\.target_\d+_view/);
    await sql(`DROP VIEW ${to}_view; CREATE INDEX extra ON ${to} (note)`);
    await expect(session.publish(record, newMeter())).rejects.toThrow(/index extra is not built/);
    await sql(`DROP INDEX extra; ALTER TABLE ${to} ALTER note SET DEFAULT 'x'`);
    await expect(session.publish(record, newMeter())).rejects.toEqual(code('TargetChanged'));
    expect(await s.visible()).toEqual([-1]);
    await sql(`ALTER TABLE ${to} ALTER note DROP DEFAULT`);
    await session.publish(record, newMeter());
    expect(await s.visible()).toEqual(ALL_IDS);
  });
});

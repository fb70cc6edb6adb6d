import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { lockKey } from '../../src/connectors/hash.js';
import { beginPartition } from '../../src/connectors/postgres/destination/attempt.js';
import { openDestinationSession } from '../../src/connectors/postgres/destination/index.js';
import { ledgerNames } from '../../src/connectors/postgres/destination/ledger-schema.js';
import { takeLock } from '../../src/connectors/postgres/destination/locks.js';
import { openSession } from '../../src/connectors/postgres/session.js';
import { openSnapshotSession } from '../../src/connectors/postgres/snapshot/session.js';
import type { DestinationSession } from '../../src/connectors/types.js';
import type { TableRecord } from '../../src/core/model.js';
import { ALL_IDS, code, newMeter, PARTITIONS, ROWS, Scene, writerOf } from '../contract/fixture.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { connectionTo } from '../support/connection.js';
import { Gate } from '../support/fake-activities.js';
import { runSql } from '../support/postgres.js';
import { until } from '../support/workflows.js';

/** What keeps two sessions apart that come at the worst moment for each other, one moment a test. */

const NAMES = ledgerNames('longhaul');

let fixture: PostgresFixture;
let tables = 0;

beforeAll(async () => {
  fixture = await postgresFixture('fences_test');
  await fixture.createSource('public.items', ROWS);
});
afterAll(() => fixture[Symbol.asyncDispose]());

function scene(): Scene {
  const base = { table: 'public.items', from: 'public.items', partition: { by: 'auto' } } as const;
  const to = `public.target_${++tables}`;
  return new Scene(fixture, `run-${randomUUID()}`, { ...base, to, mode: 'replace' });
}

const sql = <Row extends object>(text: string, values: unknown[] = []) =>
  runSql<Row>(fixture.destinationUrl, text, values);

const options = (label: string) => ({
  signal: new AbortController().signal,
  label,
  log: { debug: () => undefined, info: () => undefined, warn: () => undefined },
});

const connection = () => connectionTo('destination', fixture.destinationUrl);

/** Copied and built: only the publishing is left. */
async function loaded(s: Scene): Promise<{ session: DestinationSession; record: TableRecord }> {
  const session = await s.destination();
  const record = await s.begun(session);
  await s.copyAll(session, record);
  await s.buildAll(session, record);
  return { session, record };
}

async function outsider(name: string): Promise<Client> {
  const client = new Client({ connectionString: fixture.destinationUrl, application_name: name });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function oldReader(name: string): Promise<Client> {
  const reader = await outsider(name);
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await reader.query('SELECT 1');
  return reader;
}

/** Closed for publishing, and given up there because of a reader: the table stays in `publishing`. */
async function stuckInPublishing(s: Scene): Promise<{ session: DestinationSession; record: TableRecord }> {
  const { session, record } = await loaded(s);
  const reader = await oldReader('in the way');
  try {
    const tuning = { publishWait: 0, lockWait: 100, longestPause: 100 };
    await using impatient = await openDestinationSession(connection(), options('impatient'), tuning);
    await expect(impatient.publish(record, newMeter())).rejects.toEqual(code('LockTimeout'));
  } finally {
    await reader.end();
  }
  expect((await session.ledger.table(s.run, s.spec.table)).state).toBe('publishing');
  return { session, record };
}

/** A partition that is loaded and has seen its table open: it commits when the gate is open. */
async function aboutToCommit(s: Scene) {
  const session = await s.destination();
  const record = await s.begun(session);
  const committing = await openSession(connection(), options('committing'), 'destination');
  onTestFinished(() => committing[Symbol.asyncDispose]());
  const commit = committing.commit.bind(committing);
  const gate = new Gate();
  committing.commit = () => gate.pass().then(commit);
  const writer = await writerOf(beginPartition(committing, NAMES, record, s.partition(0), 1));
  const committed = writer.commit(await s.load(writer, record, s.partition(0)));
  committed.catch(() => undefined);
  await until(() => gate.waiting === 1);
  return { session, gate, committed };
}

describe('a partition that has seen its table open and is about to commit', () => {
  it('is waited for by whoever closes the run: after that nothing commits', async () => {
    await using s = scene();
    const { session, gate, committed } = await aboutToCommit(s);
    const closer = await s.destination({ label: 'the closer' });
    let closed = false;
    const closing = closer.ledger.closeRun(s.run, 'suspended').then(() => (closed = true));
    const waits = `SELECT FROM pg_stat_activity WHERE application_name = 'the closer' AND wait_event_type = 'Lock'`;
    await expect.poll(async () => closed || (await sql(waits)).length === 1).toBe(true);
    expect(closed).toBe(false);
    gate.open();
    await committed;
    await closing;
    expect(await session.ledger.totals(s.run, s.spec.table, 0)).toMatchObject({ committed: 1 });
  });

  it('is ended by its server when its worker is frozen there: nobody waits for it for ever', async () => {
    await using s = scene();
    const { session, gate, committed } = await aboutToCommit(s);
    await session.ledger.closeRun(s.run, 'suspended');
    gate.open();
    await expect(committed).rejects.toEqual(code('ConnectionFailed'));
    expect(await session.ledger.totals(s.run, s.spec.table, 0)).toMatchObject({ committed: 0 });
  });
});

it('a session that is frozen right behind its lock has no old view that others would wait for', async () => {
  await using frozen = await openSession(connection(), options('frozen'), 'destination');
  await frozen.begin('destination');
  await takeLock(frozen, lockKey('test', 'frozen'), 'a test');
  expect(await sql(`SELECT backend_xmin FROM pg_stat_activity WHERE pid = ${frozen.pid}`)).toEqual([
    { backend_xmin: null },
  ]);
});

describe('a table that is being published', () => {
  it('may be prepared and built again by a workflow that lost its history, and is published then', async () => {
    await using s = scene();
    const { session, record } = await stuckInPublishing(s);
    await session.prepare(record);
    await s.copyAll(session, record);
    await s.buildAll(session, record);
    expect((await session.publish(record, newMeter())).committed).toBe(PARTITIONS);
    expect(await s.visible()).toEqual(ALL_IDS);
  });

  it('is taken from a zombie in the middle of its swap by a job that resumes the run', async () => {
    await using s = scene();
    const { session, record } = await stuckInPublishing(s);
    const zombie = await outsider('a zombie');
    await zombie.query('BEGIN');
    await zombie.query('SELECT pg_advisory_xact_lock($1)', [lockKey('longhaul.publish', s.run, s.spec.table)]);
    await zombie.query(`SELECT FROM ${NAMES.runTables} WHERE run = $1 FOR UPDATE`, [s.run]);
    expect((await s.open(session, true)).state).toBe('open');
    await expect(zombie.query('SELECT 1')).rejects.toThrow();
    expect((await session.publish(record, newMeter())).rows).toBe(ROWS);
  });

  it('waits for a session of Longhaul that has looked and not locked: it may read the target yet', async () => {
    await using s = scene();
    const { session, record } = await loaded(s);
    await using other = await openSession(connection(), options('another job'), 'source');
    await other.begin('source');
    await other.query('SELECT 1');
    const meter = newMeter();
    const published = session.publish(record, meter);
    await expect.poll(() => meter.phase).toMatch(/^waiting for session \d+ \(another job\)/);
    await other.rollback();
    expect((await published).rows).toBe(ROWS);
  });

  it('does not wait for a session that holds the snapshot of queries, of any job: it reads nothing itself', async () => {
    await using s = scene();
    const { session, record } = await loaded(s);
    const query = [{ id: 'all', sql: 'SELECT 1 AS id' }];
    const ofQueries = { ...record, spec: { ...record.spec, queries: query }, snapshot: 1 };
    const stop = new AbortController();
    const holder = await openSnapshotSession(connection(), { ...options('a holder'), signal: stop.signal });
    await holder.hold({ run: s.run, snapshot: 1 }, [ofQueries], () => Promise.resolve(false));
    const kept = expect(holder.keep(0)).rejects.toThrow('over');
    const tuning = { publishWait: 0, lockWait: 100, longestPause: 100 };
    await using impatient = await openDestinationSession(connection(), options('impatient'), tuning);
    expect((await impatient.publish(record, newMeter())).rows).toBe(ROWS);
    expect(await session.ledger.table(s.run, s.spec.table)).toMatchObject({ state: 'published' });
    stop.abort(new Error('over'));
    await kept;
  });

  it('ends a session of Longhaul that has its staging in hand, though that only reads it', async () => {
    await using s = scene();
    const { session, record } = await loaded(s);
    await using leftover = await openSession(connection(), options('a leftover'), 'destination');
    await leftover.begin('destination');
    await leftover.query(`LOCK TABLE ${record.staging} IN ACCESS SHARE MODE`);
    expect((await session.publish(record, newMeter())).rows).toBe(ROWS);
    await expect(leftover.query('SELECT 1')).rejects.toEqual(code('ConnectionFailed'));
  });

  it('does not wait for readers that began when it was closed already: they see every row', async () => {
    await using s = scene();
    const { session, record } = await stuckInPublishing(s);
    const late = await oldReader('a late reader');
    try {
      expect((await session.publish(record, newMeter())).rows).toBe(ROWS);
      const seen = await late.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${s.spec.to}`);
      expect(seen.rows).toEqual([{ n: ROWS }]);
    } finally {
      await late.end();
    }
  });
});

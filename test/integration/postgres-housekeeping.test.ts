import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TableSpec } from '../../src/core/model.js';
import { newMeter, Scene } from '../contract/fixture.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { code } from '../contract/fixture.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import { connectionTo } from '../support/connection.js';
import { runSql } from '../support/postgres.js';

/** Closing and discarding where other sessions are in the way. */

let fixture: PostgresFixture;
let made = 0;
beforeAll(async () => {
  fixture = await postgresFixture('housekeeping');
  await fixture.createSource('public.items', 1_000);
});
afterAll(() => fixture[Symbol.asyncDispose]());

function scene(more: Partial<TableSpec> = {}): Scene {
  const base = { table: 'public.items', from: 'public.items', partition: { by: 'auto' } } as const;
  return new Scene(fixture, `run-${randomUUID()}`, { ...base, to: `public.copy_${++made}`, mode: 'replace', ...more });
}

async function sessionAt(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  // Discarding may end it.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

it('staging that somebody reads is not removed yet, and the reader is named and left alone', async () => {
  await using s = scene();
  const session = await s.destination();
  const record = await s.begun(session);
  await s.copyAll(session, record);
  await session.ledger.closeRun(s.run, 'discarded');
  const reader = await sessionAt(fixture.destinationUrl);
  await reader.query("SET application_name TO 'nightly backup'");
  await reader.query(`BEGIN; SELECT FROM ${record.staging} LIMIT 1`);
  const connection = { ...connectionTo('destination', fixture.destinationUrl), settings: { lock_timeout: '200ms' } };
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
  const options = { signal: new AbortController().signal, label: 'hurried', log };
  await using hurried = await createPostgresConnector(connection).openDestination(options);
  await expect(hurried.discard(record)).rejects.toEqual(code('LockTimeout'));
  await expect(hurried.discard(record)).rejects.toThrow(/is not removed yet: session \d+ \(nightly backup\) reads it/);
  expect(await session.ledger.expire('other')).toMatchObject([{ run: s.run, state: 'discarded' }]);
  await reader.query('COMMIT');
  await reader.end();
  await session.discard(record);
  expect(await session.ledger.expire('other')).toEqual([]);
});

it('a run that is being published can be discarded: whoever publishes is ended, and the target is as it was', async () => {
  await using s = scene();
  const [publisher, session] = [await s.destination(), await s.destination()];
  await fixture.createTarget(s.spec.to);
  const record = await s.begun(session);
  await s.copyAll(session, record);
  await s.buildAll(session, record);
  const reader = await sessionAt(fixture.destinationUrl);
  await reader.query(`BEGIN; SELECT FROM ${s.spec.to} LIMIT 1`);
  const publishing = publisher.publish(record, newMeter()).catch((error: unknown) => error);
  await expect.poll(async () => (await session.ledger.table(s.run, s.spec.table)).state).toBe('publishing');
  await session.ledger.closeRun(s.run, 'discarded');
  await session.discard(record);
  await reader.query('COMMIT');
  await reader.end();
  expect(await publishing).toEqual(
    expect.objectContaining({ code: expect.stringMatching(/RunClosed|ConnectionFailed/) as string }),
  );
  expect(await s.visible()).toEqual([]);
  expect((await session.ledger.table(s.run, s.spec.table)).state).toBe('discarded');
});

it('publish: partition closes a table that others write to without ending them', async () => {
  await using s = scene({ mode: 'append', publish: 'partition' });
  await fixture.createTarget(s.spec.to);
  const session = await s.destination();
  const record = await s.begun(session);
  await s.copyAll(session, record);
  const writer = await sessionAt(fixture.destinationUrl);
  await writer.query(`BEGIN; INSERT INTO ${s.spec.to} VALUES (-1, 'mine')`);
  await session.publish(record, newMeter());
  await session.ledger.closeRun(s.run, 'discarded');
  await session.discard(record);
  await writer.query('COMMIT');
  await writer.end();
  expect(await s.visible()).toHaveLength(1_001);
});

it('a target that was altered or dropped takes no partition more', async () => {
  await using s = scene({ mode: 'append', publish: 'partition' });
  const session = await s.destination();
  await s.begun(session);
  const record = await session.ledger.table(s.run, s.spec.table);
  await s.copy(session, record, 0);
  await runSql(fixture.destinationUrl, `ALTER TABLE ${s.spec.to} ALTER note TYPE varchar(500)`);
  await expect(session.begin(record, s.partition(1), 1)).rejects.toEqual(code('TargetChanged'));
  await runSql(fixture.destinationUrl, `DROP TABLE ${s.spec.to}`);
  await expect(session.begin(record, s.partition(1), 1)).rejects.toEqual(code('TargetChanged'));
  await expect(session.prepare(record)).rejects.toThrow(/it is gone, with the 1 partitions/);
});

it('staging on which somebody works for long holds up nobody who lists, sweeps or closes runs', async () => {
  await using s = scene();
  const session = await s.destination();
  const record = await s.begun(session);
  const builder = await sessionAt(fixture.destinationUrl);
  await builder.query(`BEGIN; LOCK TABLE ${record.staging} IN ACCESS EXCLUSIVE MODE`);
  const [listed] = await session.ledger.runs({ run: s.run });
  expect(listed!.tables).toMatchObject([{ staging: { name: record.staging } }]);
  expect(listed!.tables[0]!.staging!.bytes).toBeUndefined();
  expect(await session.ledger.expire('other')).toEqual([]);
  expect(await session.orphans!()).toEqual([]);
  expect(await session.ledger.runs({ run: s.run, sizes: false })).toEqual([listed]);
  await builder.query('ROLLBACK');
  const [after] = await session.ledger.runs({ run: s.run });
  expect(after!.tables[0]!.staging!.bytes).toBeGreaterThan(0);
  await builder.end();
});

it('keys of rows that differed are forgotten with their run', async () => {
  await using s = scene();
  const session = await s.destination();
  const record = await s.begun(session);
  await session.ledger.putDifferences(s.run, record.spec.table, 0, 4, [
    { ordinal: 1, key: '["7"]', difference: 'differs' },
  ]);
  const kept = () =>
    runSql(fixture.destinationUrl, `SELECT key FROM ${session.ledger.differencesTable!} WHERE run = $1`, [s.run]);
  expect(await kept()).toHaveLength(1);
  await session.ledger.closeRun(s.run, 'discarded');
  expect(await session.ledger.forget(s.run)).toBe(true);
  expect(await kept()).toEqual([]);
});

it('staging of an earlier snapshot, which nobody dropped when its table started over, is no orphan and is swept', async () => {
  await using s = scene({ consistency: 'snapshot' });
  const session = await s.destination();
  const record = await s.begun(session);
  await session.ledger.startOver({ run: s.run, snapshot: 1 });
  expect((await session.orphans!()).map(({ name }) => name)).not.toContain(record.staging);
  await session.ledger.closeRun(s.run, 'discarded');
  const swept = (await session.ledger.expire('other')).filter(({ run }) => run === s.run);
  expect(swept).toMatchObject([{ snapshot: 2, state: 'discarded' }]);
  await session.discard(swept[0]!);
  expect(await runSql(fixture.destinationUrl, `SELECT WHERE to_regclass('${record.staging}') IS NOT NULL`)).toEqual([]);
  expect((await session.ledger.expire('other')).map(({ run }) => run)).not.toContain(s.run);
});

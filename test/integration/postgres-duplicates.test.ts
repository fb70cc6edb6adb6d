import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DestinationSession, Row } from '../../src/connectors/types.js';
import type { LonghaulError } from '../../src/core/errors.js';
import type { Partition, TableRecord, TableSpec } from '../../src/core/model.js';
import { newMeter, Scene, writerOf } from '../contract/fixture.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { rowsConnector, rowsOf } from '../support/rows-source.js';
import { runSql } from '../support/postgres.js';

let fixture: PostgresFixture;
let tables = 0;

beforeAll(async () => {
  fixture = await postgresFixture('duplicates_test');
});
afterAll(() => fixture[Symbol.asyncDispose]());

const sql = <R extends object>(text: string, values: unknown[] = []) => runSql<R>(fixture.destinationUrl, text, values);

const QUERIES: readonly Partition[] = ['q016', 'q017', 'q018'].map((label, ordinal) => ({
  ...{ ordinal, label, predicate: `query ${label}` },
}));

const COLUMNS = { id: 'bigint', kind: 'text', note: 'text' };

/** A table that is there, made of what follows its name, and three queries for it. */
async function scene(target: string, more: Partial<TableSpec> = {}): Promise<Scene> {
  const to = `public.target_${++tables}`;
  await sql(`CREATE TABLE ${to} ${target.replaceAll('TARGET', to)}`);
  const queries = QUERIES.map(({ label, predicate }) => ({ id: label, sql: predicate }));
  const spec: TableSpec = {
    ...{ table: 'erp.items', to, mode: 'replace' as const, partition: { by: 'auto' as const }, queries },
    ...more,
  };
  const source = rowsConnector({ declared: COLUMNS, formats: ['rows'], open: () => rowsOf(Object.keys(COLUMNS), []) });
  return new Scene({ ...fixture, source }, `run-${randomUUID()}`, spec);
}

async function load(
  s: Scene,
  rows: readonly (readonly Row[])[],
): Promise<{ session: DestinationSession; record: TableRecord }> {
  const session = await s.destination();
  await s.open(session).then((record) => session.prepare(record));
  await session.ledger.putPlan(s, { partitions: QUERIES, reason: 'queries' });
  const record = await session.ledger.table(s.run, s.spec.table);
  for (const [ordinal, partition] of QUERIES.entries()) {
    await using writer = await writerOf(session.begin(record, partition, 1));
    const stream = rowsOf(Object.keys(COLUMNS), rows[ordinal] ?? []);
    await writer.load(stream, newMeter());
    await writer.commit(await stream.rows);
  }
  return { session, record };
}

/** Message and next step of what building the table fails with. */
async function failure(work: Promise<unknown>): Promise<{ message: string; next: string | undefined }> {
  const error = await work.then(
    () => expect.unreachable(),
    (thrown: unknown) => thrown as LonghaulError,
  );
  expect(error).toMatchObject({ code: 'DataRejected' });
  return { message: error.message, next: error.next };
}

it('a key that is violated names the two queries, and no value', async () => {
  await using s = await scene('(id bigint PRIMARY KEY, kind text, note text)');
  const { session, record } = await load(s, [
    [[1, 'a', null]],
    [
      [2, 'a', null],
      [424242, 'a', null],
    ],
    [[424242, 'b', null]],
  ]);
  // A receipt that another attempt has found and confirmed is still whose its rows are.
  await session.begin(record, QUERIES[1]!, 2);
  const { message, next } = await failure(s.buildAll(session, record));
  expect(message).toBe(
    `The key (id) of ${s.spec.to} is not unique: queries q017 and q018 both have a row of it. Nothing was published, and the target was left as it was.`,
  );
  expect(next).toBe(
    `Mend the queries so that each row is in one of them, then start the job anew. Until then the rows are in ${record.staging}.`,
  );
  expect(await sql(`SELECT FROM ${s.spec.to}`)).toEqual([]);
});

it('one query that has a row twice is named by itself', async () => {
  await using s = await scene('(id bigint, kind text, note text, UNIQUE (kind, id))');
  const { session, record } = await load(s, [
    [
      [7, "a', (b)", null],
      [7, "a', (b)", null],
    ],
    [[7, 'a', null]],
  ]);
  expect((await failure(s.buildAll(session, record))).message).toMatch(
    /^The key \(kind, id\) of public\.target_\d+ is not unique: query q016 has more than one row of it\./,
  );
});

it('keys of expressions, partial ones and NULLs that are not distinct are found too', async () => {
  await using s = await scene(
    `(id bigint, kind text, note text); CREATE UNIQUE INDEX ON TARGET (lower(kind), (id % 10), "note") NULLS NOT DISTINCT WHERE id > 5`,
  );
  const { session, record } = await load(s, [
    [
      [1, 'X', null],
      [11, 'X', null],
    ],
    [[21, 'y', null]],
    [[31, 'x', null]],
  ]);
  expect((await failure(s.buildAll(session, record))).message).toMatch(
    /: queries q016 and q018 both have a row of it\./,
  );
});

it('a new primary key is looked into as well, and partitions that are no queries', async () => {
  await fixture.createSource('public.items', 1_000);
  const base = { table: 'public.items', from: 'public.items', mode: 'replace' as const };
  await using s = new Scene(fixture, `run-${randomUUID()}`, {
    ...base,
    to: 'public.ranges',
    partition: { by: 'auto' },
  });
  const session = await s.destination();
  const record = await s.open(session);
  await session.prepare(record);
  const overlapping = [s.partition(0), { ...s.partition(1), predicate: fixture.range(249, 500) }];
  await session.ledger.putPlan(s, { partitions: overlapping, reason: 'overlapping' });
  for (const partition of overlapping) {
    await using writer = await writerOf(session.begin(record, partition, 1));
    await writer.commit(await s.load(writer, record, partition));
  }
  const { message, next } = await failure(s.buildAll(session, record));
  expect(message).toMatch(
    /^The key \(id\) of public\.ranges is not unique: partitions 1\/4 and 2\/4 both have a row of it\./,
  );
  expect(next).toMatch(/^Without a snapshot, a row whose key is changed while it is copied may be there twice/);
});

it('rows that were loaded around rejects are told apart too', async () => {
  await using s = await scene('(id bigint PRIMARY KEY, kind text, note text)', { rejects: { max: 5 } });
  const { session, record } = await load(s, [
    [[1, 'a', null]],
    [
      ['x', 'a', null],
      [5, 'a', null],
    ],
    [
      [6, 'a', null],
      ['y', 'a', null],
      [5, 'b', null],
    ],
  ]);
  expect((await failure(s.buildAll(session, record))).message).toMatch(
    /: queries q017 and q018 both have a row of it\./,
  );
});

it('appended rows that meet one of the target, or of another query, say which', async () => {
  await using s = await scene(`(id bigint PRIMARY KEY, kind text, note text); INSERT INTO TARGET VALUES (5, 'old')`, {
    mode: 'append',
  });
  const { session, record } = await load(s, [[[1, 'a', null]], [[5, 'a', null]]]);
  expect((await failure(session.publish(record, newMeter()))).message).toBe(
    `The key (id) of ${s.spec.to} is not unique: query q017 has a row of it, and one was there before. Nothing was appended.`,
  );
  await using other = await scene('(id bigint PRIMARY KEY, kind text, note text)', { mode: 'append' });
  const twice = await load(other, [[[1, 'a', null]], [[5, 'a', null]], [[5, 'b', null]]]);
  expect((await failure(twice.session.publish(twice.record, newMeter()))).message).toMatch(
    /: queries q017 and q018 both have a row of it\. Nothing was appended\.$/,
  );
});

it('with publish: partition, the attempt that meets a committed row names whose it is', async () => {
  const direct = { mode: 'append', publish: 'partition' } as const;
  const keyed = '(id bigint PRIMARY KEY, kind text, note text)';
  await using s = await scene(keyed, direct);
  expect(
    (
      await failure(
        load(s, [
          [[1, 'a', null]],
          [[5, 'a', null]],
          [
            [4, 'b', null],
            [5, 'b', null],
          ],
        ]),
      )
    ).message,
  ).toBe(
    `The key (id) of ${s.spec.to} is not unique: queries q017 and q018 both have a row of it. Nothing of query q018 was committed.`,
  );
  await using before = await scene(`${keyed}; INSERT INTO TARGET VALUES (5, 'old')`, direct);
  expect((await failure(load(before, [[[5, 'a', null]]]))).message).toMatch(
    /: query q016 has a row of it, and one was there before\./,
  );
  await using itself = await scene(keyed, direct);
  expect(
    (
      await failure(
        load(itself, [
          [
            [5, 'a', null],
            [5, 'a', null],
          ],
        ]),
      )
    ).message,
  ).toMatch(/: query q016 has more than one row of it\./);
});

it('what can not be told is said to be so', async () => {
  await using s = await scene('(id bigint PRIMARY KEY, kind text, note text)');
  const { session, record } = await load(s, [[[5, 'a', null]], [[5, 'a', null]]]);
  await sql('UPDATE longhaul.receipts SET xids = $2 WHERE run = $1', [s.run, '{}']);
  expect((await failure(s.buildAll(session, record))).message).toMatch(
    /^The rows read for public\.target_\d+ violate its primary key target_\d+_pkey \(duplicates, or a NULL\): it can't be published\. Which queries gave them can't be told\. The target was left as it was\.$/,
  );
});

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import { addDigested, formOf, type Digested } from '../../src/core/digest.js';
import type { SessionOptions } from '../../src/connectors/types.js';
import type { Partition, TableRecord, TableSpec } from '../../src/core/model.js';
import { newMeter, Scene, writerOf } from '../contract/fixture.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { connectionTo } from '../support/connection.js';
import { runSql } from '../support/postgres.js';

let fixture: PostgresFixture;
let made = 0;
beforeAll(async () => {
  fixture = await postgresFixture('digest_test');
  for (const url of [fixture.sourceUrl, fixture.destinationUrl]) await runSql(url, TYPES);
});
afterAll(() => fixture[Symbol.asyncDispose]());

/** Other numbers (OIDs) in both databases, as it is in life. */
const TYPES = `
  CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore;
  CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, m mood, t text);
  CREATE DOMAIN amount AS numeric(10,2); CREATE DOMAIN email AS varchar(30); CREATE TYPE span AS RANGE (subtype = float8)`;

const whole: Partition = { ordinal: 0, label: '1/1', relation: 'public.t', predicate: 'TRUE' };

interface Copy {
  readonly read: Digested;
  readonly loaded: Digested;
}

/** Copies one column of these values, as the source's type into the target's (the same, if none is made), and digests both sides. */
async function copied(type: string, values: readonly string[], targetType?: string, setup = ''): Promise<Copy> {
  const name = `public.t${++made}`;
  if (setup !== '') for (const url of [fixture.sourceUrl, fixture.destinationUrl]) await runSql(url, setup);
  await runSql(fixture.sourceUrl, `CREATE TABLE ${name} (v ${type})`);
  const rows = values.map((value) => `(${value})`).join(', ');
  await runSql(fixture.sourceUrl, `INSERT INTO ${name} VALUES ${rows}`);
  if (targetType !== undefined) await runSql(fixture.destinationUrl, `CREATE TABLE ${name} (v ${targetType})`);
  const spec: TableSpec = { table: name, from: name, to: name, mode: 'replace', partition: { by: 'auto' } };
  await using s = new Scene(fixture, `run-${randomUUID()}`, spec);
  const session = await s.destination();
  const record = await s.open(session);
  await session.prepare(record);
  const partition = { ...whole, relation: name };
  await session.ledger.putPlan(record, { partitions: [partition], reason: 'whole' });
  const form = await session.digestForm!(record);
  const source = await s.source();
  await using writer = await writerOf(session.begin(record, partition, 1));
  const stream = await source.stream(record, partition);
  await writer.load(stream, newMeter());
  const read = await source.digester!(record, form).digest(partition);
  await writer.commit(await stream.rows, read.digest);
  const loaded = await session.digester!(record, form).whole();
  expect(read.rows).toBe(values.length);
  return { read, loaded };
}

const NULLS = ['NULL'];

describe('equal digests of source and staging', () => {
  it.each([
    ['bool', ['true', 'false']],
    ['"char"', [`'x'`, `''`]],
    ['name', [`'n'`]],
    ['bytea', [`'\\x00ff'`, `''`]],
    ['text', [`''`, `'a\\b\t'`, `'ünï'`]],
    ['char(5)', [`'ab'`, `''`]],
    ['numeric', [`1.10`, `'NaN'`, `-0.000`, `1e40`]],
    ['float8', [`0.1`, `'NaN'`, `'-0'`, `'Infinity'::float8 - 'Infinity'::float8`, `1e300`]],
    ['float4', [`0.1`, `3.4e38`]],
    ['float8[]', [`ARRAY['NaN', 0.1]::float8[]`]],
    ['money', [`12.5`]],
    ['oid', [`4294967295`]],
    ['date', [`'infinity'`, `'4000-01-01 BC'`]],
    ['timestamptz', [`'2020-01-01 00:00:00.123456+02'`, `'-infinity'`]],
    ['timetz', [`'12:00+05:30'`]],
    ['interval', [`'1 mon'`, `'30 days'`, `'-1 day 3 hours'`]],
    ['uuid', [`gen_random_uuid()`]],
    ['json', [`'{"b":1,  "a":2}'`]],
    ['jsonb', [`'{"b":1, "a":[1.0]}'`]],
    ['xml', [`'<a>x</a>'`, `'<?xml version="1.0" encoding="LATIN1"?><a/>'`]],
    ['bit(5)', [`B'00101'`]],
    ['varbit', [`B'101'`, `B''`]],
    ['inet', [`'10.0.0.1'`, `'10.0.0.1/8'`, `'::1'`]],
    ['macaddr8', [`'08:00:2b:01:02:03:04:05'`]],
    ['point', [`'(0.1,NaN)'`]],
    ['polygon', [`'((0,0),(1,1),(0.3,2))'`]],
    ['tsvector', [`'a:1A fat cat:3'`]],
    ['int4range', [`'[1,5)'`, `'empty'`]],
    ['int8multirange', [`'{[1,2),[5,7)}'`]],
    ['tstzrange', [`'[2020-01-01 00:00+00,)'`]],
    ['int4[]', [`'{1,NULL,3}'`, `'{}'`, `'[0:1]={7,8}'`]],
    ['text[]', [`'{a,"",NULL,"NULL"}'`, `'{{a,b},{c,d}}'`]],
    ['regclass', [`'pg_catalog.pg_class'`]],
    ['pg_lsn', [`'16/B374D848'`]],
    ['public.mood', [`'sad'`]],
    ['public.mood[]', [`'{sad,happy}'`]],
    ['public.pair', [`ROW(1, 'sad', 'x,y')`, `ROW(NULL, NULL, NULL)`]],
    ['public.amount', [`1.5`]],
    ['public.email', [`'a@b'`]],
    ['public.span', [`'[0.1,0.2)'`]],
    ['public.citext', [`'Ab'`]],
    ['public.hstore', [`'b=>1, a=>NULL'`]],
  ])('%s', async (type, values) => {
    const { read, loaded } = await copied(type, [...values, ...NULLS]);
    expect(loaded).toEqual(read);
  });

  it.each([
    ['int2', 'int8', ['-7', '32767']],
    ['int4', 'float8', ['2147483647', '100000']],
    ['int2', 'float4', ['32767']],
    ['int4', 'numeric(14,3)', ['5']],
    ['oid', 'int8', ['4294967295']],
    ['oid', 'numeric', ['7']],
    ['numeric(10,2)', 'numeric(12,4)', ['1.25', `'NaN'`]],
    ['numeric(10,2)', 'numeric', ['1.20']],
    ['varchar(10)', 'varchar(20)', [`'a '`]],
    ['varchar(10)', 'text', [`'a '`, `''`]],
    ['char(5)', 'text', [`'ab'`]],
    ['char(5)', 'varchar(7)', [`'ab'`]],
    ['bool', 'text', ['true', 'false']],
    ['inet', 'text', [`'10.0.0.1'`, `'10.0.0.0/8'`]],
    ['float8', 'text', [`0.1`, `'NaN'`]],
    ['money', 'text', [`1234.5`]],
    ['bytea', 'text', [`'\\xff'`]],
    ['interval', 'text', [`'1 mon 3 days'`]],
    ['timestamptz', 'text', [`'2020-01-01 00:00+02'`]],
    ['date', 'timestamp', [`'2020-01-01'`, `'infinity'`]],
    ['timestamp(3)', 'timestamp(6)', [`'2020-01-01 00:00:00.125'`]],
    ['time(0)', 'time', [`'10:00'`]],
    ['interval(3)', 'interval', [`'1.125 s'`]],
    ['varbit(5)', 'varbit(9)', [`B'101'`]],
    ['cidr', 'inet', [`'10.0.0.0/8'`]],
    ['jsonb', 'json', [`'{"a": [1.0]}'`]],
    ['jsonb', 'text', [`'{"a": 1}'`]],
    ['xml', 'text', [`'<a/>'`]],
    ['public.mood', 'text', [`'sad'`]],
    ['public.pair', 'text', [`ROW(1, 'sad', 'x')`, `ROW(NULL, NULL, NULL)`]],
    ['public.hstore', 'text', [`'a=>1'`]],
    ['text', 'public.citext', [`'Ab'`]],
    ['public.citext', 'text', [`'Ab'`]],
    ['public.amount', 'numeric(10,2)', ['1.5']],
    ['public.amount', 'numeric(12,3)', ['1.5']],
    ['numeric(10,2)', 'public.amount', ['1.5']],
    ['public.email', 'text', [`'a@b'`]],
    ['int4[]', 'int8[]', [`'{1,NULL}'`]],
    ['bool[]', 'text[]', [`'{t,f}'`]],
    ['char(3)[]', 'text[]', [`'{a,b}'`]],
    ['numeric(6,1)[]', 'numeric(8,3)[]', [`'{1.5,NULL}'`]],
    ['date[]', 'timestamp[]', [`'{2020-01-01}'`]],
  ])('%s into %s', async (type, target, values) => {
    const { read, loaded } = await copied(type, [...values, ...NULLS], target);
    expect(loaded).toEqual(read);
  });
});

/** The digest of a table's column list by rows given as SQL, loaded straight into a target. */
async function digestOfRows(columns: string, rows: readonly string[], settings = ''): Promise<Digested> {
  const name = `public.d${++made}`;
  await runSql(fixture.destinationUrl, `CREATE TABLE ${name} (${columns})`);
  if (rows.length > 0) {
    const values = rows.map((row) => `(${row})`).join(', ');
    await runSql(fixture.destinationUrl, `${settings} INSERT INTO ${name} VALUES ${values}`);
  }
  return digestOfTable(fixture.destinationUrl, name);
}

/** A table of a destination as it would be digested after its publishing. */
async function digestOfTable(url: string, name: string): Promise<Digested> {
  const connector = createPostgresConnector(connectionTo('any', url));
  const session = await connector.openDestination(options);
  const source = await connector.openSource(options);
  try {
    const spec: TableSpec = { table: name, from: name, to: name, mode: 'replace', partition: { by: 'auto' } };
    const { table } = await source.describe(spec);
    const record: TableRecord = {
      ...{ run: 'none', spec, source: 'any', format: 'postgres.copy.text', fingerprint: {}, state: 'published' },
      ...{ shape: table!.shape, columns: table!.columns, staging: 'public.none' },
    };
    const form = await session.digestForm!(record);
    return await session.digester!(record, form).whole();
  } finally {
    await source[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
  }
}

const options: SessionOptions = {
  signal: new AbortController().signal,
  label: 'digest test',
  log: { debug: () => undefined, info: () => undefined, warn: () => undefined },
};

describe('a digest differs', () => {
  const AB = 'a text, b text';
  it.each([
    ['for a row dropped and another doubled', AB, [`'1','x'`, `'2','y'`, `'3','z'`], [`'1','x'`, `'2','y'`, `'2','y'`]],
    ['for a row four times instead of twice', AB, [`'1','x'`, `'1','x'`], [`'1','x'`, `'1','x'`, `'1','x'`, `'1','x'`]],
    ['for swapped columns', AB, [`'1','x'`], [`'x','1'`]],
    ['for a border between columns moved', AB, [`'a','bc'`], [`'ab','c'`]],
    ['for NULL and an empty text', AB, [`'a',''`], [`'a',NULL`]],
    ['for NULL moved to another column', AB, [`'a',NULL`], [`NULL,'a'`]],
    ['for values exchanged between rows', AB, [`'1','x'`, `'2','y'`], [`'1','y'`, `'2','x'`]],
    ['for trailing zeros', 'n numeric', ['1.0'], ['1.00']],
    ['for signs of zero', 'n float8', [`'0'`], [`'-0'`]],
    ['for spaces within json', 'j json', [`'{"a":1}'`], [`'{"a": 1}'`]],
    ['for a row of NULLs and NULL', 'p public.pair', ['ROW(NULL,NULL,NULL)'], ['NULL']],
  ])('%s', async (_, columns, one, other) => {
    const [first, second] = [await digestOfRows(columns, one), await digestOfRows(columns, other)];
    expect(first.digest).not.toBe(second.digest);
    expect(first.digest.split(':')[0]).toBe(second.digest.split(':')[0]);
  });

  it('not for another order, and its sums are the sum of the parts', async () => {
    const rows = [`'1','x'`, `'2','y'`, `'3','z'`];
    const all = await digestOfRows('a text, b text', rows);
    expect(await digestOfRows('a text, b text', [...rows].reverse())).toEqual(all);
    const parts = await Promise.all([
      digestOfRows('a text, b text', rows.slice(0, 1)),
      digestOfRows('a text, b text', rows.slice(1)),
    ]);
    expect(addDigested(formOf(all.digest), parts)).toEqual(all);
  });
});

const EVERYTHING = `
  CREATE TABLE every AS SELECT i, i / 3.0::float8 AS f, (i / 3.0::float4)::float4 AS f4, i * 1.50 AS n, (i * 12.5)::numeric::money AS m,
    '2024-02-27'::date + i AS d, '2020-03-01 10:00+00'::timestamptz + i * interval '1.5 hours' AS t, i * interval '1 mon 25 hours' AS v,
    decode(lpad(to_hex(i), 8, '0'), 'hex') AS b, ARRAY[i, NULL] AS l, ARRAY[decode('ff', 'hex')] AS bl, 'pg_catalog.pg_class'::regclass AS r,
    xml '<a/>' AS x, jsonb_build_object('a', i) AS j, tsrange('2020-01-01', NULL) AS g, ARRAY[interval '1 day'] AS vl, 'é' || i AS u,
    point(i / 3.0, 0) AS p FROM generate_series(1, 50) i`;

const HOSTILE = {
  DateStyle: "'SQL, DMY'",
  IntervalStyle: "'sql_standard'",
  TimeZone: "'Asia/Kolkata'",
  extra_float_digits: '-5',
  bytea_output: "'escape'",
  lc_monetary: "'C.UTF-8'",
  search_path: "'public, pg_catalog'",
  xmloption: "'document'",
  client_encoding: "'LATIN1'",
  quote_all_identifiers: 'on',
};

describe('a digest does not differ', () => {
  it("for settings of the server's", async () => {
    await runSql(fixture.sourceUrl, EVERYTHING);
    const before = await digestOfTable(fixture.sourceUrl, 'public.every');
    // As every version and architecture has it: another value means that DIGEST_VERSION is to be raised.
    expect(before).toEqual({ rows: 50, digest: '69d69cc5:35122469063378436817' });
    for (const [name, value] of Object.entries(HOSTILE)) {
      await runSql(fixture.sourceUrl, `ALTER DATABASE digest_test_source SET ${name} TO ${value}`);
    }
    try {
      expect(await digestOfTable(fixture.sourceUrl, 'public.every')).toEqual(before);
    } finally {
      await runSql(fixture.sourceUrl, 'ALTER DATABASE digest_test_source RESET ALL');
    }
  });

  it('for the encoding of the database', async () => {
    const admin = fixture.sourceUrl.replace('digest_test_source', 'postgres');
    const make = async (name: string, encoding: string) => {
      await runSql(admin, `DROP DATABASE IF EXISTS ${name}`);
      await runSql(admin, `CREATE DATABASE ${name} ENCODING ${encoding} LOCALE 'C' TEMPLATE template0`);
      const url = fixture.sourceUrl.replace('digest_test_source', name);
      await runSql(
        url,
        `CREATE TABLE words AS SELECT chr(233) AS w, ARRAY[chr(233)] AS l, json_build_array(chr(233)) AS j`,
      );
      const digest = await digestOfTable(url, 'public.words');
      await runSql(admin, `DROP DATABASE ${name}`);
      return digest;
    };
    expect(await make('digest_latin', 'LATIN1')).toEqual(await make('digest_utf', 'UTF8'));
  });
});

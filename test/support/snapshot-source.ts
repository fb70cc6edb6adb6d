import { Client } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { holderPrefix } from '../../src/connectors/postgres/snapshot/holders.js';
import { openSnapshotSession } from '../../src/connectors/postgres/snapshot/session.js';
import { openSourceSession } from '../../src/connectors/postgres/source.js';
import type { SessionOptions, SnapshotSession, SourceSession } from '../../src/connectors/types.js';
import type { TableRecord, TableSpec } from '../../src/core/model.js';
import { connectionTo } from './connection.js';
import { runSql, startTestPostgres, type TestPostgres } from './postgres.js';
import { until } from './workflows.js';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

export const QUICK = { seconds: 30, renewEvery: 50 };
export const TEN = Array.from({ length: 10 }, (_, i) => i + 1);
export const code = (expected: string): unknown => expect.objectContaining({ code: expected });
export const never = () => Promise.resolve(false);
export const always = () => Promise.resolve(true);

/** What the names of those that hold the first snapshot of a record's run begin with. */
export function prefixOf({ run }: TableRecord): string {
  return holderPrefix({ run, snapshot: 1 });
}

/** The text of whole CopyData frames. */
function frames(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    text += bytes.subarray(at + 5, at + 1 + bytes.readInt32BE(at + 1)).toString();
  }
  return text;
}

/** A real source with tables of ten rows, and sessions that hold snapshots of them; lives as long as the tests of the file that calls this. */
export function snapshotSource(database: string) {
  let postgres: TestPostgres;
  let url: string;
  beforeAll(async () => {
    postgres = await startTestPostgres('source');
    url = await postgres.createDatabase(database);
  });
  afterAll(() => postgres.stop());

  const sql = <R extends object>(text: string) => runSql<R>(url, text);
  const options = (signal = new AbortController().signal): SessionOptions => ({ signal, log, label: 'test' });
  const config = () => connectionTo('shop', url);

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
    const spec: TableSpec = {
      table: name,
      from: name,
      to: 'dw.x',
      mode: 'replace',
      partition: { by: 'auto' },
      ...more,
    };
    const source = await openSource();
    const { table } = await source.describe(spec);
    const { shape, columns } = table!;
    const rest = { run: `run-${runs}`, source: 'shop', fingerprint: {}, staging: 'dw.s', state: 'open' as const };
    return { ...rest, spec, shape, columns, format: 'postgres.copy.text', snapshot: 1 };
  }

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

  const holders = (record: TableRecord) =>
    sql<{ pid: number; query: string; started: string }>(
      `SELECT pid, query, query_start::text AS started FROM pg_stat_activity WHERE starts_with(application_name, '${prefixOf(record)}')`,
    );

  const asleep = (record: TableRecord) =>
    until(async () => (await holders(record)).some(({ query }) => query.includes('pg_sleep')));

  const blocked = async (statement: string): Promise<void> => {
    await expect(sql(`SET lock_timeout TO '200ms'; ${statement}`)).rejects.toThrow(/lock timeout/);
  };

  /** A session that has the name of a holder, and holds nothing. */
  async function named(record: TableRecord): Promise<{ client: Client }> {
    const client = new Client({
      connectionString: url,
      application_name: `${prefixOf(record)}0-1-1`,
    });
    await client.connect();
    onTestFinished(() => client.end());
    return { client };
  }

  const connect = async (): Promise<Client> => {
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    onTestFinished(() => client.end());
    return client;
  };

  return {
    sql,
    options,
    config,
    openHolder,
    openSource,
    tableOf,
    hold,
    rowsOf,
    holders,
    asleep,
    blocked,
    named,
    connect,
  };
}

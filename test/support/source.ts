import type { PostgresConnectionConfig } from '../../src/connectors/postgres/config.js';
import { openSourceSession } from '../../src/connectors/postgres/source.js';
import type { SourceSession } from '../../src/connectors/types.js';
import type { Partition, PartitionHint, TableRecord, TableSpec } from '../../src/core/model.js';
import { connectionTo } from './connection.js';
import { runSql } from './postgres.js';

export const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };

export interface PlannedTable {
  readonly list: readonly Partition[];
  readonly reason: string;
  readonly estimatedRows: number | undefined;
}

export function specOf(from: string, over: Partial<TableSpec> = {}): TableSpec {
  return { table: from, from, to: 'dw.x', mode: 'replace', partition: { by: 'auto', count: 7 }, ...over };
}

/** Sessions and plans of a database as a source. `url` is asked when it is used, since `beforeAll` finds it out. */
export function sourceTools(url: () => string) {
  const configOf = (over: Partial<PostgresConnectionConfig> = {}): PostgresConnectionConfig =>
    connectionTo('shop', url(), { maxSessions: 10, ...over });

  const open = (over: Partial<PostgresConnectionConfig> = {}): Promise<SourceSession> =>
    openSourceSession(configOf(over), { signal: new AbortController().signal, log: quiet, label: 'test' });

  async function recordOf(session: SourceSession, spec: TableSpec, format?: string): Promise<TableRecord> {
    const { table, findings } = await session.describe(spec);
    if (table === undefined) throw new Error(JSON.stringify(findings));
    const { shape, columns, formats } = table;
    const rest = { run: 'r', source: 'shop', fingerprint: {}, staging: 'dw.s', state: 'open' as const };
    return { ...rest, spec, shape, columns, format: format ?? formats[0]! };
  }

  async function planOf(
    from: string,
    hint: Partial<PartitionHint>,
    over: Partial<TableSpec> = {},
    config: Partial<PostgresConnectionConfig> = {},
  ): Promise<PlannedTable> {
    await using session = await open(config);
    const spec = specOf(from, { partition: { by: 'auto', ...hint }, ...over });
    const { partitions, reason, estimatedRows } = await session.plan(await recordOf(session, spec));
    const list: Partition[] = [];
    for await (const partition of partitions) list.push(partition);
    return { list, reason, estimatedRows };
  }

  const coverage = (list: readonly Partition[], whole = list[0]!.relation!, where = 'TRUE') =>
    coverageOf(url(), list, whole, where);

  return { configOf, open, recordOf, planOf, coverage };
}

export interface Coverage {
  /** Rows of each partition, as the server counts them. */
  readonly counts: readonly number[];
  /** Rows that are in more than one. */
  readonly twice: number;
  /** Rows that are in at least one. */
  readonly rows: number;
  /** Rows there are. */
  readonly total: number;
}

/** Partitions counted by one statement. */
const BATCH = 100;

/** Every partition is read by itself, so that the server, not this test, says which rows are in it. */
async function coverageOf(url: string, list: readonly Partition[], whole: string, where: string): Promise<Coverage> {
  const sql = <R extends object>(text: string) => runSql<R>(url, text);
  const all = list.map(
    ({ relation, predicate }) => `SELECT tableoid::int8 AS t, ctid FROM ONLY ${relation!} WHERE ${predicate}`,
  );
  const counts: number[] = [];
  for (let from = 0; from < all.length; from += BATCH) {
    const batch = all.slice(from, from + BATCH);
    const selects = batch.map((select, i) => `SELECT ${i} AS p, count(*)::int4 AS n FROM (${select}) AS s`);
    const rows = await sql<{ n: number }>(`SELECT n FROM (${selects.join(' UNION ALL ')}) AS c ORDER BY p`);
    counts.push(...rows.map(({ n }) => n));
  }
  const [seen] = await sql<{ twice: number; rows: number }>(
    `SELECT count(*) FILTER (WHERE n > 1)::int4 AS twice, count(*)::int4 AS rows
     FROM (SELECT count(*) AS n FROM (${all.join(' UNION ALL ')}) AS s GROUP BY t, ctid) AS r`,
  );
  const [total] = await sql<{ n: number }>(`SELECT count(*)::int4 AS n FROM ${whole} WHERE ${where}`);
  return { counts, ...seen!, total: total!.n };
}

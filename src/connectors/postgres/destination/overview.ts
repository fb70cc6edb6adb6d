import type { TableState, TableSpec } from '../../../core/model.js';
import {
  VISIBLE_RANGES,
  type OrdinalRange,
  type RunOverview,
  type RunQuery,
  type StagingTable,
  type TableOverview,
} from '../../types.js';
import type { PgSession } from '../session.js';
import { measuredStaging, stagingTables } from './housekeeping.js';
import type { LedgerNames } from './ledger-schema.js';
import { WITHOUT_QUERIES } from './records.js';

interface Row {
  run: string;
  job: string;
  started: string;
  keep: string | null;
  forgotten: string | null;
  spec: string;
  state: TableState;
  changed: string;
  partitions: string | null;
  committed: string;
  rows: string;
  bytes: string;
  staging: string;
}

/** Published tables keep their sums; those of the others are in their receipts. */
const overview = ({ runs, runTables, receipts }: LedgerNames) => `
  WITH wanted AS (
    SELECT run, job, started_at, keep_staging_ms, forgotten_at FROM ${runs} r
    WHERE ($1::text IS NULL OR run = $1) AND ($2::bigint IS NULL OR forgotten_at IS NULL AND
      (SELECT max(changed_at) FROM ${runTables} t WHERE t.run = r.run) < now() - $2 * interval '1 millisecond')
    ORDER BY started_at DESC, run LIMIT $3)
  SELECT w.run, w.job, to_json(w.started_at) #>> '{}' AS started, w.keep_staging_ms AS keep,
         to_json(w.forgotten_at) #>> '{}' AS forgotten, (${WITHOUT_QUERIES})::text AS spec, t.state,
         to_json(t.changed_at) #>> '{}' AS changed, t.partitions, t.staging,
         coalesce(CASE WHEN t.state = 'published' THEN t.partitions END, s.committed) AS committed,
         coalesce(t.rows, s.rows, 0) AS rows, coalesce(t.bytes, s.bytes, 0) AS bytes
  FROM wanted w JOIN ${runTables} t USING (run) LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE p.state = 'committed') AS committed, sum(p.rows) AS rows, sum(p.bytes) AS bytes
    FROM ${receipts} p WHERE p.run = t.run AND p.table_name = t.table_name AND t.state <> 'published') s ON true
  ORDER BY w.started_at DESC, w.run, t.position`;

/** See `Ledger.runs`. */
export async function readRuns(session: PgSession, names: LedgerNames, query: RunQuery): Promise<RunOverview[]> {
  const { run = null, unchangedFor = null, limit = null, sizes = true } = query;
  const found = await session.query<Row>(overview(names), [run, unchangedFor, limit]);
  const tables = await (sizes ? measuredStaging(session) : stagingTables(session));
  const staged = new Map(tables.map(({ name, bytes }) => [name, { name, ...(bytes !== undefined && { bytes }) }]));
  const runs = new Map<string, RunOverview & { tables: TableOverview[] }>();
  for (const row of found) {
    const entry = runs.get(row.run) ?? runOf(row);
    const table = tableOf(row, staged.get(row.staging));
    entry.tables.push(await withVisible(session, names, row.run, table));
    runs.set(row.run, entry);
  }
  return [...runs.values()];
}

function runOf({ run, job, started, keep, forgotten }: Row): RunOverview & { tables: TableOverview[] } {
  return {
    ...{ run, job, startedAt: started, tables: [] },
    ...(keep !== null && { keepStaging: Number(keep) }),
    ...(forgotten !== null && { forgottenAt: forgotten }),
  };
}

function tableOf(row: Row, staging: StagingTable | undefined): TableOverview {
  return {
    ...{ spec: JSON.parse(row.spec) as TableSpec, state: row.state, changedAt: row.changed },
    ...(row.partitions !== null && { partitions: Number(row.partitions) }),
    ...{ committed: Number(row.committed), rows: Number(row.rows), bytes: Number(row.bytes) },
    ...(staging && { staging }),
  };
}

async function withVisible(
  session: PgSession,
  names: LedgerNames,
  run: string,
  table: TableOverview,
): Promise<TableOverview> {
  if (table.spec.publish !== 'partition' || table.state === 'published') return table;
  const ranges = await session.query<{ first: number; last: number }>(
    `SELECT min(partition) AS first, max(partition) AS last FROM
       (SELECT partition, partition - row_number() OVER (ORDER BY partition) AS island FROM ${names.receipts}
        WHERE run = $1 AND table_name = $2 AND state = 'committed') AS p
     GROUP BY island ORDER BY 1 LIMIT $3`,
    [run, table.spec.table, VISIBLE_RANGES],
  );
  return { ...table, visible: ranges.map(({ first, last }): OrdinalRange => [first, last]) };
}

import type { TableState, TableSpec } from '../../../core/model.js';
import {
  VISIBLE_RANGES,
  type OrdinalRange,
  type RunOverview,
  type RunQuery,
  type StagingTable,
  type StateSums,
  type TableOverview,
} from '../../types.js';
import type { PgSession } from '../session.js';
import { measuredStaging, stagingTables } from './housekeeping.js';
import type { LedgerNames } from './ledger-schema.js';
import { quarantinedOf } from './receipts.js';

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
  skipped: string;
  quarantined: string;
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
         to_json(w.forgotten_at) #>> '{}' AS forgotten, t.spec::text AS spec, t.state,
         to_json(t.changed_at) #>> '{}' AS changed, t.partitions, t.staging,
         coalesce(CASE WHEN t.state = 'published' THEN t.partitions - t.skipped END, s.committed) AS committed,
         coalesce(t.skipped, s.skipped) AS skipped, coalesce(t.quarantined, s.quarantined, 0) AS quarantined,
         coalesce(t.rows, s.rows, 0) AS rows, coalesce(t.bytes, s.bytes, 0) AS bytes
  FROM wanted w JOIN LATERAL (
    SELECT * FROM ${runTables} t WHERE t.run = w.run ORDER BY t.position LIMIT $4) t ON true LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE p.state = 'committed') AS committed,
           count(*) FILTER (WHERE p.state = 'skipped') AS skipped, sum(p.rows) AS rows, sum(p.bytes) AS bytes,
           sum(p.quarantined) AS quarantined
    FROM ${receipts} p WHERE p.run = t.run AND p.table_name = t.table_name AND t.state <> 'published') s ON true
  ORDER BY w.started_at DESC, w.run, t.position`;

const sums = ({ runTables, receipts }: LedgerNames) => `
  SELECT t.run, t.state, count(*)::int AS tables, coalesce(sum(coalesce(t.rows, p.rows)), 0) AS rows,
         coalesce(sum(coalesce(t.skipped, p.skipped)), 0) AS skipped,
         coalesce(sum(coalesce(t.quarantined, p.quarantined)), 0) AS quarantined,
         coalesce(sum(s.bytes), 0) AS bytes, to_json(max(t.changed_at)) #>> '{}' AS changed,
         to_json(min(t.changed_at) FILTER (WHERE s.name IS NOT NULL)) #>> '{}' AS since
  FROM ${runTables} t LEFT JOIN unnest($2::text[], $3::bigint[]) AS s (name, bytes) ON s.name = t.staging
  LEFT JOIN LATERAL (SELECT sum(rows) AS rows, sum(quarantined) AS quarantined, count(*) FILTER (WHERE p.state = 'skipped') AS skipped FROM ${receipts} p
    WHERE p.run = t.run AND p.table_name = t.table_name AND t.state <> 'published') p ON true
  WHERE t.run = ANY ($1::text[]) GROUP BY t.run, t.state`;

interface SumsRow {
  run: string;
  state: TableState;
  tables: number;
  rows: string;
  skipped: string;
  quarantined: string;
  bytes: string;
  changed: string;
  since: string | null;
}

async function addSums(
  session: PgSession,
  names: LedgerNames,
  runs: ReadonlyMap<string, { sums: StateSums[] }>,
  staged: readonly StagingTable[],
): Promise<void> {
  const staging = [staged.map(({ name }) => name), staged.map(({ bytes }) => bytes ?? null)];
  for (const row of await session.query<SumsRow>(sums(names), [[...runs.keys()], ...staging])) {
    const { run, state, tables, changed, since } = row;
    const counts = {
      rows: Number(row.rows),
      skipped: Number(row.skipped),
      ...quarantinedOf(row),
      stagingBytes: Number(row.bytes),
    };
    const stagedSince = since !== null && { stagedSince: since };
    runs.get(run)!.sums.push({ state, tables, ...counts, changedAt: changed, ...stagedSince });
  }
}

/** See `Ledger.runs`. */
export async function readRuns(session: PgSession, names: LedgerNames, query: RunQuery): Promise<RunOverview[]> {
  const { run = null, unchangedFor = null, limit = null, tables: first = null, sizes = true } = query;
  const found = await session.query<Row>(overview(names), [run, unchangedFor, limit, first]);
  const tables = await (sizes ? measuredStaging(session) : stagingTables(session));
  const staged = new Map(tables.map(({ name, bytes }) => [name, { name, ...(bytes !== undefined && { bytes }) }]));
  const runs = new Map<string, RunOverview & { tables: TableOverview[]; sums: StateSums[] }>();
  for (const row of found) {
    const entry = runs.get(row.run) ?? runOf(row);
    const table = tableOf(row, staged.get(row.staging));
    entry.tables.push(await withVisible(session, names, row.run, table));
    runs.set(row.run, entry);
  }
  await addSums(session, names, runs, tables);
  return [...runs.values()];
}

function runOf({
  run,
  job,
  started,
  keep,
  forgotten,
}: Row): RunOverview & { tables: TableOverview[]; sums: StateSums[] } {
  return {
    ...{ run, job, startedAt: started, sums: [], tables: [] },
    ...(keep !== null && { keepStaging: Number(keep) }),
    ...(forgotten !== null && { forgottenAt: forgotten }),
  };
}

function tableOf(row: Row, staging: StagingTable | undefined): TableOverview {
  return {
    ...{ spec: JSON.parse(row.spec) as TableSpec, state: row.state, changedAt: row.changed },
    ...(row.partitions !== null && { partitions: Number(row.partitions) }),
    ...{ committed: Number(row.committed), skipped: Number(row.skipped) },
    ...{ rows: Number(row.rows), ...quarantinedOf(row), bytes: Number(row.bytes) },
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

import { setTimeout as sleep } from 'node:timers/promises';
import type { JobPhase, JobReport } from '../../workflows/messages.js';
import { compareTable } from '../../src/devstack/compare.js';
import type { Read } from './readers.js';
import type { Scene } from './scene.js';
import type { Database } from './stack.js';
import { OLD_ROWS } from './tables.js';
import { UNTOUCHED } from './writer.js';

/** How the last job of a scene ended. */
export type Ended = { readonly report: JobReport } | { readonly error: unknown } | { readonly timeout: true };

/** What a job has left behind. Every count must be 0. */
export interface Verdict {
  readonly finished: boolean;
  /** Rows, over all columns and with multiplicity. */
  readonly missing: number;
  readonly duplicated: number;
  readonly partialReads: readonly Read[];
  readonly stagingLeft: readonly string[];
  readonly sessionsLeft: readonly string[];
  /** What does not add up, in words: in the ledger, or because the harness could not look. */
  readonly problems: readonly string[];
}

/** A verdict without anything that must not be. */
export function isClean(verdict: Verdict): boolean {
  const { finished, missing, duplicated, partialReads, stagingLeft, sessionsLeft, problems } = verdict;
  const lists = [partialReads, stagingLeft, sessionsLeft, problems];
  return finished && missing === 0 && duplicated === 0 && lists.every((list) => list.length === 0);
}

export async function check(scene: Scene, ended: Ended): Promise<Verdict> {
  const sums = { missing: 0, duplicated: 0 };
  const problems = whyNotEnded(ended, scene.skips.size === 0 ? 'complete' : 'complete with skips');
  // First: what still has a session may not be done.
  const sessions = 'timeout' in ended ? [] : await allSessionsLeft(scene);
  const expected = new Map<string, number>();
  for (const table of scene.tables) {
    const found = await compareOne(scene, table, problems);
    sums.missing += found.missing;
    sums.duplicated += found.duplicated;
    expected.set(table, found.rows);
  }
  problems.push(...(await ledgerProblems(scene)));
  return {
    finished: 'report' in ended,
    ...sums,
    partialReads: scene.readers.partial(expected),
    stagingLeft: await stagingLeft(scene),
    sessionsLeft: sessions,
    problems,
  };
}

function whyNotEnded(ended: Ended, phase: JobPhase): string[] {
  if ('report' in ended) return ended.report.phase === phase ? [] : [`the job ended as ${ended.report.phase}`];
  if ('timeout' in ended) return ['the job has not ended in time'];
  const reasons: string[] = [];
  for (let error: unknown = ended.error; error instanceof Error; error = error.cause) reasons.push(error.message);
  return [`the job failed: ${reasons.join(': ')}`];
}

interface Compared {
  readonly missing: number;
  readonly duplicated: number;
  /** Of the job in the target. */
  readonly rows: number;
}

/** The target has to be what the source is, or was at the snapshot; of what changes under a copy without one, as much as is promised. */
async function compareOne(scene: Scene, table: string, problems: string[]): Promise<Compared> {
  const { source, destination } = scene.stack;
  const loaded = `(SELECT * FROM ${table} WHERE gen <> 0)`;
  const [counts] = await destination.query<{ old: number; rows: number; ids: number }>(
    `SELECT count(*) FILTER (WHERE gen = 0)::int AS old, count(*) FILTER (WHERE gen <> 0)::int AS rows,
       count(DISTINCT id) FILTER (WHERE gen <> 0)::int AS ids FROM ${table}`,
  );
  const { old, rows, ids } = counts!;
  const keep = scene.shape.mode === 'append' ? OLD_ROWS : 0;
  if (old !== keep) problems.push(`${table} has ${old} rows of before, not ${keep}`);
  if (scene.writer === undefined) {
    const found = await compareTable(source.url(), destination.url(), await notSkipped(scene, table), loaded);
    return { missing: found.missing, duplicated: found.extra, rows };
  }
  if (scene.shape.consistency === 'snapshot') {
    const [at] = await destination.query<{ snapshot: number }>(
      'SELECT snapshot FROM longhaul.run_tables WHERE run = $1 AND table_name = $2',
      [scene.run, table],
    );
    const reference = at && scene.writer.reference(table, scene.run, at.snapshot);
    if (reference === undefined) problems.push(`${table}: no copy of snapshot ${at?.snapshot} to compare with`);
    if (reference === undefined) return { missing: 0, duplicated: 0, rows };
    const found = await compareTable(source.url(), destination.url(), reference, loaded);
    return { missing: found.missing, duplicated: found.extra, rows };
  }
  const untouched = (extra: string) =>
    `(SELECT * FROM ${table} WHERE ${UNTOUCHED} AND id <= ${scene.shape.rows}${extra})`;
  const found = await compareTable(source.url(), destination.url(), untouched(''), untouched(' AND gen <> 0'));
  return { missing: found.missing, duplicated: found.extra + rows - ids, rows };
}

/** The source's rows but those of the partitions that were skipped, by the ledger's plan. */
async function notSkipped(scene: Scene, table: string): Promise<string> {
  const labels = [...scene.skips].filter((each) => each.startsWith(`${table}/`));
  const ordinals = labels.map((each) => Number(each.slice(table.length + 1).split('/')[0]) - 1);
  if (ordinals.length === 0) return table;
  const found = await scene.stack.destination.query<{ predicate: string }>(
    `SELECT part ->> 'predicate' AS predicate FROM longhaul.plan_pages, json_array_elements(partitions::json) part
     WHERE run = $1 AND table_name = $2 AND (part ->> 'ordinal')::int = ANY ($3)`,
    [scene.run, table, ordinals],
  );
  return `(SELECT * FROM ${table} WHERE NOT (${found.map(({ predicate }) => `(${predicate})`).join(' OR ')}))`;
}

interface LedgerTable {
  table_name: string;
  state: string;
  partitions: string | null;
  rows: string | null;
  receipts: string;
  sum: string;
}

/** Every partition of the plan has one receipt, their rows are those of the target, and no other run holds on to anything. */
async function ledgerProblems(scene: Scene): Promise<string[]> {
  const { destination } = scene.stack;
  const tables = await destination.query<LedgerTable>(
    `SELECT t.table_name, t.state, t.partitions, t.rows, count(r.*) AS receipts, coalesce(sum(r.rows), 0) AS sum
     FROM longhaul.run_tables t LEFT JOIN longhaul.receipts r USING (run, table_name)
     WHERE t.run = $1 GROUP BY t.run, t.table_name`,
    [scene.run],
  );
  const problems: string[] = [];
  if (tables.length !== scene.tables.length) problems.push(`the ledger has ${tables.length} tables of ${scene.run}`);
  for (const { table_name, state, partitions, rows, receipts, sum } of tables) {
    if (state !== 'published') problems.push(`${table_name} is ${state}`);
    if (receipts !== partitions) problems.push(`${table_name} has ${receipts} receipts of ${partitions} partitions`);
    if (sum !== rows) problems.push(`${table_name} published ${rows} rows, its receipts say ${sum}`);
    const [target] = await destination.query<{ rows: string }>(
      `SELECT count(*) AS rows FROM ${table_name} WHERE gen <> 0`,
    );
    if (target!.rows !== sum) problems.push(`${table_name} has ${target!.rows} rows, its receipts say ${sum}`);
  }
  const open = await destination.query<{ run: string; state: string }>(
    `SELECT run, state FROM longhaul.run_tables WHERE run = ANY ($1) AND run <> $2 AND state IN ('open', 'publishing')`,
    [scene.runs, scene.run],
  );
  const kept = await destination.query<{ run: string; table_name: string; state: string }>(
    `SELECT run, table_name, state FROM longhaul.run_tables WHERE run = ANY ($1) AND state NOT IN ('discarded', 'published')`,
    [[...scene.discarded]],
  );
  return [
    ...problems,
    ...open.map(({ run, state }) => `run ${run} is still ${state}`),
    ...kept.map(({ run, table_name, state }) => `${table_name} of run ${run} was given up, and is ${state}`),
  ];
}

async function stagingLeft({ stack, schema }: Scene): Promise<string[]> {
  const found = await stack.destination.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE nspname = $1 AND relkind IN ('r', 'p') AND relname ^@ '_longhaul_'`,
    [schema],
  );
  return found.map(({ name }) => name);
}

/** Not asked of a job that goes on: its sessions are at work. */
async function allSessionsLeft({ stack: { source, destination } }: Scene): Promise<string[]> {
  return [...(await sessionsLeft(source)), ...(await sessionsLeft(destination))];
}

/** Milliseconds within which sessions that nobody needs any more have to be gone. */
const GONE_WITHIN = 15_000;

async function sessionsLeft(database: Database): Promise<string[]> {
  const deadline = Date.now() + GONE_WITHIN;
  for (;;) {
    const found = await database.query<{ name: string; state: string }>(
      `SELECT application_name AS name, coalesce(state, '') AS state FROM pg_stat_activity
       WHERE datname = current_database() AND application_name ^@ 'longhaul'`,
    );
    if (found.length === 0) return [];
    if (Date.now() > deadline) return found.map(({ name, state }) => `${database.side}: ${name} (${state})`);
    await sleep(200);
  }
}

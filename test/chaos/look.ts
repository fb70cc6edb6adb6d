import { setTimeout as sleep } from 'node:timers/promises';
import { compareTable } from '../../src/devstack/compare.js';
import type { Read } from './readers.js';
import type { Scene } from './scene.js';
import type { Database } from './stack.js';
import { UNTOUCHED, UPDATED } from './writer.js';

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

export interface Compared {
  readonly missing: number;
  readonly duplicated: number;
  /** Of the job in the target. */
  readonly rows: number;
}

/** The target has to be what the source is, or was at the snapshot; of what changes under a copy without one, as much as is promised. */
export async function compareOne(scene: Scene, table: string, problems: string[]): Promise<Compared> {
  const { source, destination } = scene.stack;
  const loaded = `(SELECT * FROM ${table} WHERE gen <> 0)`;
  const [counts] = await destination.query<{ old: number; rows: number; ids: number }>(
    `SELECT count(*) FILTER (WHERE gen = 0)::int AS old, count(*) FILTER (WHERE gen <> 0)::int AS rows,
       count(DISTINCT id) FILTER (WHERE gen <> 0)::int AS ids FROM ${table}`,
  );
  const { old, rows, ids } = counts!;
  const { rows: from, atLeast, copies = 1, foreign = 0 } = scene.expected;
  const keep = scene.shape.mode === 'append' ? scene.before + foreign : 0;
  if (old !== keep) problems.push(`${table} has ${old} rows of before, not ${keep}`);
  if (scene.writer === undefined) {
    const wanted = from?.(table) ?? (await notSkipped(scene, table));
    const all = Array.from({ length: copies }, () => `SELECT * FROM ${wanted} w`).join(' UNION ALL ');
    const found = await compareTable(source.url(), destination.url(), `(${all})`, loaded);
    const least = atLeast?.get(table);
    const missing = least === undefined ? found.missing : Math.max(0, least - rows);
    return { missing, duplicated: found.extra, rows };
  }
  if (scene.shape.consistency === 'snapshot') {
    const { snapshot } = (await scene.target.ledger(scene.run)).find((each) => each.table === table) ?? {};
    const reference = snapshot === undefined ? undefined : scene.writer.reference(table, scene.run, snapshot);
    if (reference === undefined) problems.push(`${table}: no copy of snapshot ${snapshot} to compare with`);
    if (reference === undefined) return { missing: 0, duplicated: 0, rows };
    const found = await compareTable(source.url(), destination.url(), reference, loaded);
    return { missing: found.missing, duplicated: found.extra, rows };
  }
  const found = await compareWritten(scene, table);
  return { missing: found.missing, duplicated: found.extra + rows - ids, rows };
}

/** Each partition is as its own transaction saw it: rows that are left alone equal the source's, and those that are updated are there. */
async function compareWritten({ stack, shape }: Scene, table: string): Promise<{ missing: number; extra: number }> {
  const compare = (columns: string, which: string) => {
    const all = `SELECT ${columns} FROM ${table} WHERE ${which} AND id BETWEEN 1 AND ${shape.rows}`;
    return compareTable(stack.source.url(), stack.destination.url(), `(${all})`, `(${all} AND gen <> 0)`);
  };
  const [same, there] = [await compare('*', UNTOUCHED), await compare('id', UPDATED)];
  // Ids that come twice are counted by the caller, among all of them.
  return { missing: same.missing + there.missing, extra: same.extra };
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

/** Milliseconds within which sessions that nobody needs any more have to be gone. */
const GONE_WITHIN = 15_000;

/** Of anybody: those of the harness have ended by now, and a session that has no name yet, or lost it, is one too. */
export async function sessionsLeft({ stack }: Scene): Promise<string[]> {
  return [...(await sessionsOf(stack.source)), ...(await sessionsOf(stack.destination))];
}

async function sessionsOf(database: Database): Promise<string[]> {
  const deadline = Date.now() + GONE_WITHIN;
  for (;;) {
    const found = await database.query<{ name: string; state: string }>(
      `SELECT application_name AS name, coalesce(state, '') AS state FROM pg_stat_activity
       WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    );
    if (found.length === 0) return [];
    if (Date.now() > deadline) return found.map(({ name, state }) => `${database.side}: ${name} (${state})`);
    await sleep(200);
  }
}

/** States of the tables in the ledger, in their order; none while the run is not open. */
export async function states(scene: Scene): Promise<string[]> {
  return (await scene.target.ledger(scene.run)).map(({ state }) => state);
}

/** Whether every table is. */
export async function isPublished(scene: Scene): Promise<boolean> {
  const all = await states(scene);
  return all.length === scene.tables.length && all.every((state) => state === 'published');
}

/** All that a failure says, from the outside in. */
export function reasons(failure: unknown): string {
  const messages: string[] = [];
  for (let error = failure; error instanceof Error; error = error.cause) messages.push(error.message);
  return messages.join(': ');
}

import { compareOne, sessionsLeft, stagingLeft, type Verdict } from './look.js';
import type { CleanedRuns } from '../../workflows/clean-runs.js';
import type { Scene } from './scene.js';
import { OLD_ROWS } from './tables.js';

/**
 * Judges a job that has failed as it may: what it has published is whole, what it has not is as it was, and cleaning its run
 * leaves nothing.
 */
export async function checkFailed(scene: Scene): Promise<Verdict> {
  const sums = { missing: 0, duplicated: 0 };
  const problems: string[] = [];
  const expected = new Map<string, number>();
  const published = await publishedTables(scene);
  for (const table of scene.tables) {
    if (published.has(table)) {
      const found = await compareOne(scene, table, problems);
      sums.missing += found.missing;
      sums.duplicated += found.duplicated;
      expected.set(table, found.rows);
    } else problems.push(...(await touched(scene, table)));
  }
  problems.push(...(await clean(scene)), ...(await notDiscarded(scene)), ...scene.readers.problems());
  return {
    finished: true,
    ...sums,
    partialReads: scene.readers.partial(expected),
    stagingLeft: await stagingLeft(scene),
    sessionsLeft: await sessionsLeft(scene),
    problems,
  };
}

async function publishedTables(scene: Scene): Promise<Set<string>> {
  const sql = `SELECT table_name AS "table" FROM longhaul.run_tables WHERE run = $1 AND state = 'published'`;
  const rows = await scene.stack.destination.query<{ table: string }>(sql, [scene.run]);
  return new Set(rows.map(({ table }) => table));
}

/** Tables that were not published are given up for good by the clean. */
async function notDiscarded({ stack, run }: Scene): Promise<string[]> {
  const sql = `SELECT table_name AS "table", state FROM longhaul.run_tables WHERE run = $1 AND state NOT IN ('published', 'discarded')`;
  const rows = await stack.destination.query<{ table: string; state: string }>(sql, [run]);
  return rows.map(({ table, state }) => `${table} was cleaned, and is ${state}`);
}

async function touched(scene: Scene, table: string): Promise<string[]> {
  const [found] = await scene.stack.destination.query<{ old: number; rows: number }>(
    `SELECT count(*) FILTER (WHERE gen = 0)::int AS old, count(*) FILTER (WHERE gen <> 0)::int AS rows FROM ${table}`,
  );
  const { old, rows } = found!;
  return old === OLD_ROWS && rows === 0
    ? []
    : [`the job failed, and ${table} has ${old} rows of before and ${rows} new ones`];
}

async function clean(scene: Scene): Promise<string[]> {
  const { left } = await scene.stack.client.workflow.execute<(input: object) => Promise<CleanedRuns>>('cleanRuns', {
    taskQueue: scene.stack.taskQueue,
    workflowId: `${scene.name}-clean`,
    args: [{ destination: 'destination', runs: [scene.run] }],
  });
  return left.map(({ because }) => `clean: ${because}`);
}

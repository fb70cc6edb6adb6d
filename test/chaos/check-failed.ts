import { compareOne, sessionsLeft, type Verdict } from './look.js';
import type { CleanedRuns } from '../../workflows/clean-runs.js';
import type { Scene } from './scene.js';

/**
 * Judges a job that has failed as it may: what it has published is whole, what it has not is as it was, and cleaning its run
 * leaves nothing.
 */
export async function checkFailed(scene: Scene): Promise<Verdict> {
  const sums = { missing: 0, duplicated: 0 };
  const problems: string[] = [];
  const expected = new Map<string, number>();
  const published = await publishedTables(scene);
  await scene.target.look();
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
    stagingLeft: await scene.target.left(),
    sessionsLeft: await sessionsLeft(scene),
    problems,
  };
}

async function publishedTables({ target, run }: Scene): Promise<Set<string>> {
  const tables = await target.ledger(run);
  return new Set(tables.filter(({ state }) => state === 'published').map(({ table }) => table));
}

/** Tables that were not published are given up for good by the clean. */
async function notDiscarded({ target, run }: Scene): Promise<string[]> {
  const tables = await target.ledger(run);
  const kept = tables.filter(({ state }) => state !== 'published' && state !== 'discarded');
  return kept.map(({ table, state }) => `${table} was cleaned, and is ${state}`);
}

async function touched(scene: Scene, table: string): Promise<string[]> {
  const [found] = await scene.stack.destination.query<{ old: number; rows: number }>(
    `SELECT count(*) FILTER (WHERE gen = 0)::int AS old, count(*) FILTER (WHERE gen <> 0)::int AS rows FROM ${table}`,
  );
  const { old, rows } = found!;
  return old === scene.before && rows === 0
    ? []
    : [`the job failed, and ${table} has ${old} rows of before and ${rows} new ones`];
}

async function clean(scene: Scene): Promise<string[]> {
  const { left } = await scene.stack.client.workflow.execute<(input: object) => Promise<CleanedRuns>>('cleanRuns', {
    taskQueue: scene.stack.taskQueue,
    workflowId: `${scene.name}-clean`,
    args: [{ destination: scene.target.connection, runs: [scene.run] }],
  });
  return left.map(({ because }) => `clean: ${because}`);
}

import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { JobPhase, JobReport } from '../../workflows/messages.js';
import { tableIds } from './attempts.js';
import { checkFailed } from './check-failed.js';
import { compareOne, reasons, sessionsLeft, stagingLeft, type Verdict } from './look.js';
import type { Scene } from './scene.js';

/** How the last job of a scene ended. */
export type Ended = { readonly report: JobReport } | { readonly error: unknown } | { readonly timeout: true };

/** A verdict without anything that must not be. */
export function isClean(verdict: Verdict): boolean {
  const { finished, missing, duplicated, partialReads, stagingLeft, sessionsLeft, problems } = verdict;
  const lists = [partialReads, stagingLeft, sessionsLeft, problems];
  return finished && missing === 0 && duplicated === 0 && lists.every((list) => list.length === 0);
}

export async function check(scene: Scene, ended: Ended): Promise<Verdict> {
  if ('error' in ended && scene.expected.fails?.test(reasons(ended.error))) return checkFailed(scene);
  const sums = { missing: 0, duplicated: 0 };
  const problems = whyNotEnded(ended, scene.skips.size === 0 ? 'complete' : 'complete with skips');
  if (scene.expected.mustFail) problems.push('the job should have failed');
  // First: what still has a session may not be done. A job that goes on has its sessions at work.
  const sessions = 'timeout' in ended ? [] : await sessionsLeft(scene);
  const expected = new Map<string, number>();
  for (const table of scene.tables) {
    const found = await compareOne(scene, table, problems);
    sums.missing += found.missing;
    sums.duplicated += found.duplicated;
    expected.set(table, found.rows);
  }
  problems.push(...(await ledgerProblems(scene)), ...scene.readers.problems());
  if (!('timeout' in ended)) problems.push(...(await openWorkflows(scene)));
  return {
    finished: 'report' in ended,
    ...sums,
    partialReads: scene.readers.partial(expected),
    stagingLeft: await stagingLeft(scene),
    sessionsLeft: sessions,
    problems,
  };
}

/** Milliseconds for the job's children to end after it. */
const CHILDREN_END_WITHIN = 15_000;

/** The workflows of the job's tables and of its snapshot that still run. */
export async function openWorkflows(scene: Scene): Promise<string[]> {
  const { client } = scene.stack;
  const deadline = Date.now() + CHILDREN_END_WITHIN;
  for (;;) {
    const open: string[] = [];
    for (const id of [...tableIds(scene), `${scene.handle.workflowId}/~snapshot`]) {
      const found = await client.workflow.getHandle(id).describe().catch(unlessNotFound);
      if (found?.status.name === 'RUNNING') open.push(`workflow ${id} still runs`);
    }
    if (open.length === 0 || Date.now() > deadline) return open;
    await sleep(300);
  }
}

function unlessNotFound(error: unknown): undefined {
  if (!(error instanceof WorkflowNotFoundError)) throw error;
}

function whyNotEnded(ended: Ended, phase: JobPhase): string[] {
  if ('report' in ended) return ended.report.phase === phase ? [] : [`the job ended as ${ended.report.phase}`];
  if ('timeout' in ended) return ['the job has not ended in time'];
  return [`the job failed: ${reasons(ended.error)}`];
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
    `SELECT run, state FROM longhaul.run_tables WHERE run = ANY ($1) AND run <> $2 AND state NOT IN ('published', 'discarded')`,
    [scene.runs, scene.run],
  );
  const kept = await destination.query<{ run: string; table_name: string; state: string }>(
    `SELECT run, table_name, state FROM longhaul.run_tables WHERE run = ANY ($1) AND state NOT IN ('discarded', 'published')`,
    [[...scene.discarded]],
  );
  const [skipped] = await destination.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM longhaul.receipts WHERE run = $1 AND state = 'skipped'`,
    [scene.run],
  );
  if (skipped!.n !== scene.skips.size)
    problems.push(`${skipped!.n} partitions are skipped in the ledger, and ${scene.skips.size} were by a person`);
  return [
    ...problems,
    ...open.map(({ run, state }) => `run ${run} is still ${state}`),
    ...kept.map(({ run, table_name, state }) => `${table_name} of run ${run} was given up, and is ${state}`),
  ];
}

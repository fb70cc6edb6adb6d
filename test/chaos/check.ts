import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { JobPhase, JobReport } from '../../workflows/messages.js';
import { tableIds } from './attempts.js';
import { checkFailed } from './check-failed.js';
import { compareOne, reasons, sessionsLeft, type Verdict } from './look.js';
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
  const { copies = 1 } = scene.expected;
  const sums = { missing: 0, duplicated: 0 };
  const problems = whyNotEnded(ended, scene.skips.size === 0 ? 'complete' : 'complete with skips');
  if (scene.expected.mustFail) problems.push('the job should have failed');
  // First: what still has a session may not be done. A job that goes on has its sessions at work.
  const sessions = 'timeout' in ended ? [] : await sessionsLeft(scene);
  problems.push(...(await ledgerProblems(scene)));
  if (!('timeout' in ended)) problems.push(...(await scene.target.clean()));
  await scene.target.look();
  const published = await scene.target.ledger(scene.run);
  const expected = new Map<string, number>();
  for (const table of scene.tables) {
    const found = await compareOne(scene, table, problems);
    sums.missing += found.missing;
    sums.duplicated += found.duplicated;
    expected.set(table, found.rows);
    const said = copies * (published.find((each) => each.table === table)?.rows ?? 0);
    if (found.rows !== said) problems.push(`${table} has ${found.rows} rows, the ledger says ${said}`);
  }
  problems.push(...scene.readers.problems());
  if (!('timeout' in ended)) problems.push(...(await openWorkflows(scene)));
  return {
    finished: 'report' in ended,
    ...sums,
    partialReads: scene.readers.partial(expected),
    stagingLeft: await scene.target.left(),
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

/** Every partition of the plan has one receipt, their rows are those that were published, and no other run holds on to anything. */
async function ledgerProblems(scene: Scene): Promise<string[]> {
  const tables = await scene.target.ledger(scene.run);
  const problems: string[] = [];
  if (tables.length !== scene.tables.length) problems.push(`the ledger has ${tables.length} tables of ${scene.run}`);
  for (const { table, state, partitions, rows, receipts, sum } of tables) {
    if (state !== 'published') problems.push(`${table} is ${state}`);
    if (scene.expected.forgotten) continue;
    if (receipts !== partitions) problems.push(`${table} has ${receipts} receipts of ${partitions} partitions`);
    if (sum !== rows) problems.push(`${table} published ${rows} rows, its receipts say ${sum}`);
  }
  const skipped = tables.reduce((sum, table) => sum + table.skipped, 0);
  if (skipped !== scene.skips.size)
    problems.push(`${skipped} partitions are skipped in the ledger, and ${scene.skips.size} were by a person`);
  return [...problems, ...(await otherRuns(scene))];
}

/** Runs that were given up, or were others than the last, and hold on to something. */
async function otherRuns(scene: Scene): Promise<string[]> {
  const problems: string[] = [];
  for (const run of new Set(scene.runs)) {
    for (const { table, state } of await scene.target.ledger(run)) {
      if (state === 'published' || state === 'discarded') continue;
      if (scene.discarded.has(run)) problems.push(`${table} of run ${run} was given up, and is ${state}`);
      else if (run !== scene.run) problems.push(`run ${run} is still ${state}`);
    }
  }
  return problems;
}

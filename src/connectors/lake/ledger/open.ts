import { randomUUID } from 'node:crypto';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { TableRecord, TableSpec } from '../../../core/model.js';
import { changesSince } from '../../../core/resume.js';
import { refusedFor } from '../../target-use.js';
import type { NewTableRecord, OpenOptions, RunRecord, TargetUse } from '../../types.js';
import type { Context } from './context.js';
import { mapAll } from '../in-order.js';
import { putJson } from './objects.js';
import { indexPath, unfinishedPath } from './paths.js';
import { readRecords, removeRecords, writeRecords } from './records.js';
import { backOff } from './run-log.js';
import { type Change, type NewTable, type OpenedRun, type RunState } from './run-state.js';
import { settle } from './settle.js';
import { TargetLogs, type Claim } from './targets.js';

type Dated = RunRecord & { readonly startedAt: string };

interface Opening {
  readonly context: Context;
  readonly run: Dated;
  readonly tables: readonly NewTableRecord[];
  readonly options: OpenOptions;
  /** Names what is written for one try to put one entry. */
  readonly by: string;
}

/**
 * See `Ledger.openRun`. The one entry in the run's log opens all its tables and makes all its claims count. Whoever loses the number
 * of that entry begins anew, with new claims.
 */
export async function openRun(
  context: Context,
  run: RunRecord,
  tables: readonly NewTableRecord[],
  options: OpenOptions = {},
): Promise<readonly TableRecord[]> {
  const dated = { startedAt: new Date().toISOString(), ...run };
  for (let lost = 0; ; lost++) {
    await backOff(lost);
    const opening: Opening = { context, run: dated, tables, options, by: randomUUID() };
    const opened = await tryToOpen(opening, await context.logs.readAnew(run.run));
    if (opened) return readRecords(context, opened);
  }
}

async function tryToOpen(opening: Opening, state: RunState): Promise<OpenedRun | undefined> {
  const { context, run, by } = opening;
  if (state.opened) await refuseChanges(opening, state.opened);
  else if (opening.options.resume) throw unknownRun(context, run);
  await reach('open: before transaction');
  await claimAll(opening, state);
  const change = state.opened ? await again(opening, state.opened) : await first(opening);
  await reach('open: before COMMIT');
  const after = await context.logs.append(run.run, state, change);
  await reach('open: after COMMIT');
  if (!after && !state.opened) await removeRecords(context.store, run.run, by);
  return after?.opened;
}

async function first({ context, run, tables, by }: Opening): Promise<Change> {
  await writeRecords(context.store, run.run, by, tables);
  const entry = { run: run.run, job: run.job, opening: by };
  await putJson(context.store, indexPath(run.startedAt, run.run), entry);
  await putJson(context.store, unfinishedPath(run.run), entry);
  return { kind: 'open', run, records: by, tables: tables.map(newTable) };
}

function newTable({ spec: { table, to, mode, queries, consistency } }: NewTableRecord): NewTable {
  const snapshot = consistency === 'snapshot' && { snapshot: 1 };
  return { table, to, mode, ...(queries && { queried: true }), ...snapshot };
}

/** An open table changes too: who has seen it left by a workflow that is gone must see that another has taken it. */
async function again({ context, run, options }: Opening, opened: OpenedRun): Promise<Change> {
  const published = await settle(context, opened);
  const last = Math.max(0, ...opened.tables.map(({ snapshot = 0 }) => snapshot));
  return { kind: 'open', run, ...published, ...(options.resume && last > 0 && { startOver: last }) };
}

/** Claims all targets, or none: refused, it takes back those that it had put. */
async function claimAll(opening: Opening, state: RunState): Promise<void> {
  let put = 0;
  try {
    await putClaims(opening, state, () => put++);
  } catch (error) {
    const { context, run } = opening;
    if (put > 0 && isRefusal(error)) await context.logs.append(run.run, state, { kind: 'fence' });
    throw error;
  }
}

/** Of the tables that this opens: those that are open already have theirs. The first that is refused stops the others. */
async function putClaims(opening: Opening, state: RunState, onPut: () => void): Promise<void> {
  const targets = new TargetLogs(opening.context);
  const stop = new AbortController();
  const wanted = opening.tables.filter(({ spec }) => isToClaim(state, spec));
  await mapAll(wanted, async ({ spec }) => {
    try {
      await targets.claim(claimOf(opening, state, spec), spec.to, (uses) => refuse(opening, uses), stop.signal);
      onPut();
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
}

function isToClaim({ opened }: RunState, { table }: TableSpec): boolean {
  const entry = opened?.tables.find((each) => each.table === table);
  return !entry || entry.state === 'suspended';
}

function claimOf({ run, by }: Opening, { opened, next }: RunState, { table, mode }: TableSpec): Claim {
  const { job, startedAt, name = job } = { ...run, ...opened?.run };
  return { run: run.run, table, mode, job, name, startedAt, entry: next, by };
}

/** A run that has no name of its own is compared with none. */
function refuse({ context, run: { name }, options }: Opening, uses: readonly TargetUse[]): void {
  const compared = name === undefined ? uses.filter(({ use }) => use === 'held') : uses;
  const refused = refusedFor(context.name, compared, [], options);
  if (refused) throw refused;
}

function isRefusal(error: unknown): boolean {
  return error instanceof LonghaulError && (error.code === 'TargetLeased' || error.code === 'TargetAppended');
}

async function refuseChanges({ context, run, tables }: Opening, opened: OpenedRun): Promise<void> {
  if (opened.forgottenAt !== undefined) throw forgotten(run);
  const stored = await readRecords(context, opened);
  if (changesSince(stored, tables).length === 0) return;
  // Only now are the queries read: to say whether it is they that changed.
  const changes = changesSince(await readRecords(context, opened, { queries: true }), tables);
  throw new LonghaulError(
    'ResumeRefused',
    `Run ${run.run} can't go on, because it would no longer copy the same:\n${changes.join('\n')}\nWhat it has committed was left as it is.`,
    { next: 'Undo the change to go on with this run, or start a new one without `resume`.' },
  );
}

function unknownRun({ name }: Context, { run }: RunRecord): LonghaulError {
  return new LonghaulError('ResumeRefused', `The ledger of connection "${name}" knows no run ${run}.`, {
    next: 'Check the run id and the destination, or start without `resume`.',
  });
}

function forgotten({ run }: RunRecord): LonghaulError {
  return new LonghaulError('ResumeRefused', `Run ${run} is over, and its plan and receipts were cleaned away.`, {
    next: 'There is nothing to go on with: start a new run without `resume`.',
  });
}

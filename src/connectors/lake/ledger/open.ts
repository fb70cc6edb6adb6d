import { randomUUID } from 'node:crypto';
import { LonghaulError } from '../../../core/errors.js';
import type { TableRecord } from '../../../core/model.js';
import { changesSince } from '../../../core/resume.js';
import { refusedFor } from '../../target-use.js';
import type { NewTableRecord, OpenOptions, RunRecord, TargetUse } from '../../types.js';
import type { Context } from './context.js';
import { mapAll, putJson } from './objects.js';
import { indexPath } from './paths.js';
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
  await claimAll(opening, state);
  const change = state.opened ? await again(opening, state.opened) : await first(opening);
  const after = await context.logs.append(run.run, state, change);
  if (!after && !state.opened) await removeRecords(context.store, run.run, by);
  return after?.opened;
}

async function first({ context, run, tables, by }: Opening): Promise<Change> {
  await writeRecords(context.store, run.run, by, tables);
  await putJson(context.store, indexPath(run.startedAt, run.run), { run: run.run, job: run.job, opening: by });
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

/** Of the tables that this opens: those that are open already have theirs. Refused, it takes back those that it had put. */
async function claimAll({ context, run, tables, options, by }: Opening, state: RunState): Promise<void> {
  const unclaimed = ({ spec }: NewTableRecord) => {
    const entry = state.opened?.tables.find(({ table }) => table === spec.table);
    return !entry || entry.state === 'suspended';
  };
  const wanted = tables.filter(unclaimed);
  const { job, startedAt, name = job } = { ...run, ...state.opened?.run };
  const claimOf = ({ spec: { table, mode } }: NewTableRecord): Claim => {
    return { run: run.run, table, mode, job, name, startedAt, entry: state.next, by };
  };
  const refuse = (uses: readonly TargetUse[]) => {
    const refused = refusedFor(context.name, named(uses, run), [], options);
    if (refused) throw refused;
  };
  const targets = new TargetLogs(context);
  const stop = new AbortController();
  let put = 0;
  const claim = async (table: NewTableRecord) => {
    try {
      await targets.claim(claimOf(table), table.spec.to, refuse, stop.signal);
      put++;
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  };
  try {
    await mapAll(wanted, claim);
  } catch (error) {
    if (put > 0 && isRefusal(error)) await context.logs.append(run.run, state, { kind: 'fence' });
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof LonghaulError && (error.code === 'TargetLeased' || error.code === 'TargetAppended');
}

/** A run that has no name of its own is compared with none. */
function named(uses: readonly TargetUse[], { name }: RunRecord): readonly TargetUse[] {
  return name === undefined ? uses.filter(({ use }) => use === 'held') : uses;
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

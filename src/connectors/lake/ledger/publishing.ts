import { LonghaulError } from '../../../core/errors.js';
import type { ReceiptTotals, TableRecord } from '../../../core/model.js';
import { runClosed } from '../../run-closed.js';
import type { Context } from './context.js';
import { readPlan } from './plans.js';
import { totals } from './sums.js';
import { findTable, requireSame } from './records.js';
import type { Change, RunState, Sums } from './run-state.js';

const MISSING_LIMIT = 1_000;

export interface Publication {
  readonly totals: ReceiptTotals;
  /** Under which the target's commit is to be made. Absent: partitions are missing, or it is published already. */
  readonly epoch?: number;
  /** See `Targets.mark`. */
  readonly since?: number;
}

/**
 * Moves an open table to `publishing` once every partition has a receipt. Receipts never go away while a table is open, so that
 * they are read once, however often the number of the entry is lost to other tables. `closed`: an epoch that the target says is closed;
 * a table that is still being published under it gets the next, since whoever settled it has not taken the table out of `publishing`,
 * and may never do it. Throws RunClosed, PlanChanged.
 */
export async function beginPublish(context: Context, record: TableRecord, closed?: number): Promise<Publication> {
  const { run, spec } = record;
  let publication: Publication | undefined;
  const since = await context.targets.mark?.(spec);
  const state = await context.logs.change(run, async (state): Promise<Change | undefined> => {
    const { entry, position } = findTable(state, run, spec.table);
    requireSame(record, entry);
    const begin = (sums: Sums): Change => ({
      kind: 'publishing',
      table: position,
      sums,
      ...(since !== undefined && { since }),
    });
    if (entry.state === 'publishing') return entry.epoch === closed ? begin(entry.sums!) : undefined;
    if (entry.state === 'published') return undefined;
    if (entry.state !== 'open') throw runClosed({ run, table: spec.table }, entry.state);
    publication ??= await readWhole(context, record);
    return publication.totals.missing.length > 0 ? undefined : begin(sumsOf(publication.totals));
  });
  return begun(state, record, publication);
}

async function readWhole({ store }: Context, { run, spec, snapshot }: TableRecord): Promise<Publication> {
  const of = { run, table: spec.table, snapshot };
  if (!(await readPlan(store, of))) throw unplanned(run, spec.table);
  return { totals: await totals(store, of, MISSING_LIMIT) };
}

function sumsOf({ missing: _, ...counts }: ReceiptTotals): Sums {
  return { ...counts, partitions: counts.committed + counts.skipped };
}

function begun(state: RunState, { run, spec }: TableRecord, read: Publication | undefined): Publication {
  const { sums, epoch, since, state: now } = findTable(state, run, spec.table).entry;
  if (!sums || now === 'open') return read!;
  const { partitions: _, ...counts } = sums;
  const begun = now === 'publishing' && { epoch: epoch!, ...(since !== undefined && { since }) };
  return { totals: { ...counts, missing: [] }, ...begun };
}

/** From `publishing` under this epoch to `published`. Throws RunClosed when the table was taken out of it. */
export async function published({ logs }: Context, { run, spec }: TableRecord, epoch: number): Promise<void> {
  await logs.change(run, (state): Promise<Change | undefined> => {
    const { entry, position } = findTable(state, run, spec.table);
    if (entry.state === 'published') return Promise.resolve(undefined);
    if (entry.state !== 'publishing' || entry.epoch !== epoch) throw runClosed({ run, table: spec.table }, entry.state);
    return Promise.resolve({ kind: 'published', table: position });
  });
}

/** Throws RunClosed when the table is not being published under this epoch any more. Reads past what is remembered. */
export async function stillPublishing({ logs }: Context, { run, spec }: TableRecord, epoch: number): Promise<void> {
  const { entry } = findTable(await logs.read(run), run, spec.table);
  if (entry.state !== 'publishing' || entry.epoch !== epoch) throw runClosed({ run, table: spec.table }, entry.state);
}

function unplanned(run: string, table: string): LonghaulError {
  return new LonghaulError(
    'PlanChanged',
    `Table ${table} of run ${run} has no plan, so nothing of it can be published.`,
    {
      next: 'Start the job again.',
    },
  );
}

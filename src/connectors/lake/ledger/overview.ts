import { sumsByState } from '../../state-sums.js';
import type { RunOverview, RunQuery, TableOverview } from '../../types.js';
import type { Context } from './context.js';
import { mapAll, mapOrdered } from '../in-order.js';
import { listed } from './objects.js';
import { INDEX, indexed, runFolder, unfinished, UNFINISHED } from './paths.js';
import { readPlan } from './plans.js';
import { sumReceipts } from './sums.js';
import { readRecord } from './records.js';
import { type OpenedRun, type TableEntry } from './run-state.js';

/** Tables whose receipts are summed at the same time. */
const SUMMED_AT_ONCE = 4;

/** See `Ledger.runs`. Of a published table its log has the sums; those of others are in their receipts. */
export async function* overviews(context: Context, query: RunQuery): AsyncGenerator<RunOverview> {
  const { run, limit = Infinity } = query;
  let left = limit;
  for await (const opened of run === undefined ? openedRuns(context, limit) : openedRun(context, run)) {
    if (!isQuiet(opened, query.unchangedFor)) continue;
    if (left-- <= 0) return;
    yield await overview(context, opened, query);
    if (left <= 0) return;
  }
}

async function* openedRun({ logs }: Context, run: string): AsyncGenerator<OpenedRun> {
  const { opened } = await logs.readAll(runFolder(run));
  if (opened) yield opened;
}

/** Runs whose logs are read ahead of whoever walks through them. */
const READ_AHEAD = 8;

/**
 * All runs, the newest first. The index is written before the log: it may name runs that were never opened, and of one run several times
 * when it began, of which its log has the one that counts.
 */
export async function* openedRuns({ store, logs }: Context, wanted = Infinity): AsyncGenerator<OpenedRun> {
  const read = async ({ path }: { path: string }): Promise<OpenedRun | undefined> => {
    const { folder, startedMs } = indexed(path);
    const { opened } = await logs.readAll(folder);
    return opened && Date.parse(opened.run.startedAt) === startedMs ? opened : undefined;
  };
  const width = Math.max(1, Math.min(READ_AHEAD, wanted));
  for await (const opened of mapOrdered(listed(store, INDEX), read, width)) if (opened) yield opened;
}

/** Runs of which something may expire, or is left of tables that they gave up; more than that are called so for a while. */
export async function* unfinishedRuns({ store, logs }: Context): AsyncGenerator<OpenedRun> {
  const read = async ({ path }: { path: string }) => (await logs.readAll(unfinished(path))).opened;
  for await (const opened of mapOrdered(listed(store, UNFINISHED), read, READ_AHEAD)) if (opened) yield opened;
}

function isQuiet(opened: OpenedRun, unchangedFor: number | undefined): boolean {
  if (unchangedFor === undefined) return true;
  const newest = Math.max(...opened.tables.map(({ changedAt }) => Date.parse(changedAt)));
  return opened.forgottenAt === undefined && Date.now() - newest > unchangedFor;
}

type Summed = Omit<TableOverview, 'spec'>;

async function overview(context: Context, opened: OpenedRun, { tables, sizes = true }: RunQuery): Promise<RunOverview> {
  const summed = await mapAll(
    opened.tables.entries(),
    (each) => summedTable(context, opened, each, sizes),
    SUMMED_AT_ONCE,
  );
  const shown = summed.slice(0, tables);
  const described = await mapAll(shown.entries(), async ([position, table]): Promise<TableOverview> => {
    return { spec: (await readRecord(context, opened, position)).spec, ...table };
  });
  const { run, forgottenAt } = opened;
  return { ...run, ...(forgottenAt !== undefined && { forgottenAt }), sums: sumsByState(summed), tables: described };
}

async function summedTable(
  context: Context,
  opened: OpenedRun,
  [position, entry]: [number, TableEntry],
  sizes: boolean,
): Promise<Summed> {
  const { state, changedAt } = entry;
  if (state === 'published' && entry.sums) return { state, changedAt, ...entry.sums };
  const of = { run: opened.run.run, table: entry.table, snapshot: entry.snapshot };
  const plan = await readPlan(context.store, of);
  const sums = await sumReceipts(context.store, of);
  const staging = await context.stagingOf(await readRecord(context, opened, position), sizes);
  return { state, changedAt, ...(plan && { partitions: plan.partitions }), ...sums, ...(staging && { staging }) };
}

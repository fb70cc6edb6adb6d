import { reach } from '../../../core/fail-points.js';
import type { TableRecord } from '../../../core/model.js';
import type { Difference } from '../../types.js';
import type { Context } from './context.js';
import { mapAll } from '../in-order.js';
import { deleteFolder, listed, toBytes } from './objects.js';
import { unfinishedRuns } from './overview.js';
import { differencesFolder, differencesPath, numberOf, openingFolder, runFolder, unfinishedPath } from './paths.js';
import { readRecord } from './records.js';
import type { Change, OpenedRun, TableEntry } from './run-state.js';

/**
 * See `Ledger.expire`. Looks at runs that are called unfinished, and no longer calls so those of which nothing can expire and nothing is
 * left: what is published or discarded stays that for good. So what it costs is a matter of the runs since, not of all there ever were.
 */
export async function expire(context: Context, except: string): Promise<TableRecord[]> {
  const found: TableRecord[] = [];
  const finished: string[] = [];
  for await (const opened of unfinishedRuns(context)) {
    const { run } = opened.run;
    if (run === except) continue;
    const now = opened.tables.some((entry) => isOver(entry, opened)) ? await discardOver(context, opened) : opened;
    const staged = await stagedOf(context, now);
    found.push(...staged);
    if (isClosed(now) && staged.length === 0) finished.push(unfinishedPath(run));
  }
  if (finished.length > 0) await context.store.delete(finished);
  return found;
}

/** By the clocks of who has suspended it and of who asks. */
function isOver({ state, changedAt }: TableEntry, { run: { keepStaging } }: OpenedRun): boolean {
  return state === 'suspended' && keepStaging !== undefined && Date.now() - Date.parse(changedAt) > keepStaging;
}

async function discardOver({ logs }: Context, { run: { run } }: OpenedRun): Promise<OpenedRun> {
  const state = await logs.change(run, ({ opened }): Promise<Change | undefined> => {
    const entries = [...opened!.tables.entries()].filter(([, entry]) => isOver(entry, opened!));
    const tables = entries.map(([position]) => position);
    return Promise.resolve(tables.length > 0 ? { kind: 'expire', tables } : undefined);
  });
  return state.opened!;
}

/** Its discarded tables whose files are still there. */
async function stagedOf(context: Context, opened: OpenedRun): Promise<TableRecord[]> {
  const discarded = [...opened.tables.entries()].filter(([, { state }]) => state === 'discarded');
  const records = await mapAll(discarded, async ([position]) => {
    const record = await readRecord(context, opened, position);
    return (await context.stagingOf(record, false)) ? [record] : [];
  });
  return records.flat();
}

/**
 * See `Ledger.forget`. The entry in the log comes first: from then on nothing opens the run again. A call that broke off after it is
 * completed by the next.
 */
export async function forget({ store, logs }: Context, run: string): Promise<boolean> {
  const { opened } = await logs.change(run, ({ opened }): Promise<Change | undefined> => {
    const forgets = opened && isClosed(opened) && opened.forgottenAt === undefined;
    return Promise.resolve(forgets ? { kind: 'forget' } : undefined);
  });
  if (!opened || !isClosed(opened)) return false;
  await reach('forget: after COMMIT');
  await deleteFolder(store, `${runFolder(run)}/tables`);
  await deleteQueries({ store }, opened);
  return true;
}

function isClosed({ tables }: OpenedRun): boolean {
  return tables.every(({ state }) => state === 'published' || state === 'discarded');
}

/** Records stay: they tell what was copied. Pages of queries lie in folders beside them. */
async function deleteQueries({ store }: Pick<Context, 'store'>, { run: { run }, records }: OpenedRun): Promise<void> {
  const queries: string[] = [];
  for await (const { path } of listed(store, openingFolder(run, records)))
    if (path.includes('.queries/')) queries.push(path);
  if (queries.length > 0) await store.delete(queries);
}

/** See `Ledger.putDifferences`: an object for each partition with differences. */
export async function putDifferences(
  { store }: Context,
  { run, table, from, to }: { run: string; table: string; from: number; to: number },
  found: readonly Difference[],
): Promise<void> {
  const by = new Map<number, Difference[]>();
  for (const each of found) by.set(each.ordinal, [...(by.get(each.ordinal) ?? []), each]);
  const gone: string[] = [];
  for await (const { path } of listed(store, differencesFolder(run, table))) {
    const ordinal = numberOf(path);
    if (ordinal >= from && ordinal < to && !by.has(ordinal)) gone.push(path);
  }
  if (gone.length > 0) await store.delete(gone);
  const put = ([ordinal, those]: [number, Difference[]]) =>
    overwrite({ store }, differencesPath(run, table, ordinal), toBytes(those));
  await mapAll(by, put);
}

async function overwrite({ store }: Pick<Context, 'store'>, path: string, bytes: Uint8Array): Promise<void> {
  for (;;) {
    const there = await store.head(path);
    if (await store.replace(path, bytes, there?.tag)) return;
  }
}

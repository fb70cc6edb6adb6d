import { reach } from '../../../core/fail-points.js';
import { LonghaulError } from '../../../core/errors.js';
import type { TableRecord } from '../../../core/model.js';
import type { ObjectStore } from '../../objects/store.js';
import type { StagingTable } from '../../types.js';
import { runFolder } from '../table-path.js';
import type { LakeContext } from './context.js';

/** Paths that one request to a store may name. */
export const BATCH = 1_000;

/** Milliseconds after which what a writer has begun and not ended is taken to be nobody's: no attempt is given longer by default. */
const ABANDONED = 48 * 3_600_000;

/**
 * Removes what a run has in a table's folder and nobody can read: all of it when the run gave the table up, and of a published table what
 * attempts left that came to nothing. A file that any state of the table names is never removed, whoever put it there.
 */
export async function discard(context: LakeContext, record: TableRecord): Promise<void> {
  const { state } = await context.ledger.table(record.run, record.spec.table);
  if (state !== 'discarded' && state !== 'published') throw notDiscarded(record, state);
  await context.format.cleanUp?.(record);
  await removeFiles(context, record);
  await sweep(context, folderOf(context, record));
  await reach('discard: after COMMIT');
}

function folderOf({ format }: LakeContext, { spec, run }: TableRecord): string {
  return runFolder(format.ownFolder, spec, run);
}

/** The last thing to go: by them it is seen that a table's staging is still there. */
export async function removeFiles(context: LakeContext, record: TableRecord): Promise<void> {
  const folder = folderOf(context, record);
  if (!(await isEmpty(context.store, folder))) await removeFrom(context, record, folder);
}

async function isEmpty(store: ObjectStore, folder: string): Promise<boolean> {
  for await (const page of store.list(folder)) if (page.length > 0) return false;
  return true;
}

/** Nothing of a table that is closed is named from now on that was not before. */
async function removeFrom(context: LakeContext, record: TableRecord, folder: string): Promise<void> {
  const referenced = await context.format.referenced(record.spec, folder);
  let removed: string[] = [];
  for await (const page of context.store.list(folder)) {
    removed.push(...page.map(({ path }) => path).filter((path) => !referenced.has(path)));
    if (removed.length >= BATCH) {
      await context.store.delete(removed);
      removed = [];
    }
  }
  if (removed.length > 0) await context.store.delete(removed);
}

/** Uploads that nobody ended are nobody's to see. */
async function sweep({ store, options, config }: LakeContext, folder: string): Promise<void> {
  try {
    await store.sweep(new Date(Date.now() - ABANDONED), folder);
  } catch (error) {
    if (options.signal.aborted || !(error instanceof LonghaulError)) throw error;
    options.log.warn({ connection: config.name, folder, error: error.message }, 'Uploads that broke off are not swept');
  }
}

/** The data files of a table's present snapshot. */
export async function stagingOf(store: ObjectStore, { staging }: TableRecord): Promise<StagingTable | undefined> {
  let [bytes, some] = [0, false];
  for await (const page of store.list(staging)) {
    some ||= page.length > 0;
    for (const { size } of page) bytes += size;
  }
  return some ? { name: staging, bytes } : undefined;
}

function notDiscarded({ run, spec, staging }: TableRecord, state: string): LonghaulError {
  return new LonghaulError('Unknown', `${staging} is kept: table ${spec.table} of run ${run} is ${state}.`, {
    next: 'Close the run as discarded first.',
  });
}

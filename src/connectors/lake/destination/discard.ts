import { reach } from '../../../core/fail-points.js';
import { LonghaulError } from '../../../core/errors.js';
import type { TableRecord } from '../../../core/model.js';
import type { StagingTable } from '../../types.js';
import { runFolder } from '../table-path.js';
import type { LakeContext } from './context.js';

/** Paths that one request to a store may name. */
const BATCH = 1_000;

/**
 * Removes what a run has in a table's folder and nobody can read: all of it when the run gave the table up, and of a published table what
 * attempts left that came to nothing. A file that any state of the table names is never removed, whoever put it there.
 */
export async function discard(context: LakeContext, record: TableRecord): Promise<void> {
  const { state } = await context.ledger.table(record.run, record.spec.table);
  if (state !== 'discarded' && state !== 'published') throw notDiscarded(record, state);
  const folder = runFolder(record);
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
  await reach('discard: after COMMIT');
}

/** What a run has loaded into a table's folder, as long as it is not published. */
export async function stagingOf(
  context: Pick<LakeContext, 'store'>,
  record: TableRecord,
): Promise<StagingTable | undefined> {
  const folder = runFolder(record);
  let [bytes, some] = [0, false];
  for await (const page of context.store.list(folder)) {
    some ||= page.length > 0;
    for (const { size } of page) bytes += size;
  }
  return some ? { name: folder, bytes } : undefined;
}

function notDiscarded({ run, spec, staging }: TableRecord, state: string): LonghaulError {
  return new LonghaulError('Unknown', `${staging} is kept: table ${spec.table} of run ${run} is ${state}.`, {
    next: 'Close the run as discarded first.',
  });
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { ReceiptTotals, TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { Meter } from '../../types.js';
import { runClosed } from '../../run-closed.js';
import { serverFieldsOf } from '../errors.js';
import type { PgSession } from '../session.js';
import { quoteColumns, quoteRelation, requireRelation, type Relation } from '../sql.js';
import { culpritsOf, culpritsText, isDuplicate, mendText, notUnique, targetIndex } from './duplicates.js';
import { endAllOf, relationHolders, stagingWriters } from './locks.js';
import type { LedgerNames } from './ledger-schema.js';
import { readPlan } from './plans.js';
import { lockPublishing } from './publish-lock.js';
import { transaction } from './queries.js';
import { waitForReaders } from './readers.js';
import { readTotals } from './receipts.js';
import { readOwnState, setState } from './records.js';
import { advance, lastValues, ownedSequences, type LastValues } from './sequences.js';
import { swapIn } from './swap.js';
import { stagingIn } from './staging-name.js';
import { findRelation, findTarget, lockTarget, requireUnchanged, type Target } from './target.js';
import { targetChanged } from './target-changed.js';
import type { PublishTuning } from './tuning.js';

/** Missing partitions told at once; the rest is found when these are there. */
const MISSING_LIMIT = 1_000;

interface Publication {
  readonly session: PgSession;
  readonly names: LedgerNames;
  readonly record: TableRecord;
  readonly meter: Meter;
  readonly tuning: PublishTuning;
}

/**
 * See `DestinationSession.publish`. First the table is closed, so that nothing of it commits any more; then whoever may still
 * write to staging is ended; then readers with an older view are waited for; then the swap, whose transaction also says that it
 * is published. Each of these may be repeated. An abort while that transaction commits leaves it open which of the two happened:
 * the ledger knows, and a repeated publish, or the end of the run, reads it there.
 */
export async function publish(publication: Publication): Promise<ReceiptTotals> {
  const { session, record, meter } = publication;
  await reach('publish: before fence');
  meter.phase = 'closing the table';
  const fence = await transaction(session, () => fenceTable(publication));
  if (fence.published || fence.totals.missing.length > 0) return fence.totals;
  await reach('publish: after fence COMMIT');
  const staging = stagingIn(record);
  if (staging === undefined) await closeVisible(publication, fence.totals);
  else await showStaging(publication, staging, fence.totals);
  await reach('publish: after COMMIT');
  return fence.totals;
}

async function showStaging(publication: Publication, staging: Relation, totals: ReceiptTotals): Promise<void> {
  const { session, names, record, meter, tuning } = publication;
  const oid = await findRelation(session, staging);
  if (oid !== undefined) {
    const what = `the staging of ${record.spec.table}`;
    await endAllOf(session, () => stagingWriters(session, oid), what);
  }
  await reach('publish: after writers');
  await waitForReaders(session, names, record, meter, tuning.publishWait);
  meter.phase = 'finding the last values of sequences';
  const last = await transaction(session, () => readLastValues(publication, staging));
  await reach('publish: before swap');
  await swapWhenFree(publication, totals, last);
}

/** Every partition is visible already: sequences go past the data, and the table is closed. Nobody is waited for or ended. */
async function closeVisible(publication: Publication, totals: ReceiptTotals): Promise<void> {
  const { session, record } = publication;
  const last = await transaction(session, () => readLastValues(publication, requireRelation(record.staging)));
  await transaction(session, async () => {
    if (!(await claimSwap(publication))) return;
    const target = await lockTarget(session, record);
    await requireUnchanged(session, record, target);
    if (target) await advanceSequences(session, target, last);
    await markPublished(publication, totals);
  });
}

/** Under the row's lock, which a partition shares while it commits: what is counted here is all that there will be. */
async function fenceTable(publication: Publication): Promise<{ totals: ReceiptTotals; published: boolean }> {
  const { session, names, record } = publication;
  const key = { run: record.run, table: record.spec.table };
  await lockPublishing(session, key);
  const state = await readOwnState(session, names, record, 'FOR UPDATE');
  if (state !== 'open' && state !== 'publishing' && state !== 'published') throw runClosed(key, state);
  if ((await readPlan(session, names, key)) === undefined) throw unplanned(key);
  const totals = await readTotals(session, names, key.run, key.table, MISSING_LIMIT);
  if (state === 'published') return { totals: { ...totals, missing: [] }, published: true };
  const next = totals.missing.length > 0 ? 'open' : 'publishing';
  if (next !== state) await setState(session, names, key, next);
  await reach('publish: before fence COMMIT');
  return { totals, published: false };
}

async function readLastValues({ session, record }: Publication, staging: Relation): Promise<LastValues> {
  const target = await findTarget(session, record.spec.to);
  const sequences = target ? await ownedSequences(session, target.oid) : [];
  return lastValues(session, record, staging, sequences);
}

/** Tries again as long as somebody else has the target, or reads staging: each try lets the readers behind it wait for `lockWait` only. */
async function swapWhenFree(publication: Publication, totals: ReceiptTotals, last: LastValues): Promise<void> {
  const { session, record, meter, tuning } = publication;
  for (let pause = tuning.longestPause / 10; ; pause = Math.min(pause * 2, tuning.longestPause)) {
    meter.phase = `publishing ${record.spec.to}`;
    try {
      await transaction(session, () => swap(publication, totals, last));
      return;
    } catch (cause) {
      if (isDuplicate(cause)) throw await notAppended(publication, cause);
      if (!(cause instanceof LonghaulError && cause.code === 'LockTimeout')) throw cause;
    }
    meter.phase = await blockedBy(session, record);
    session.options.log.info({ connection: session.name, table: record.spec.table }, meter.phase);
    await sleep(pause, undefined, { signal: session.options.signal });
  }
}

/** Appending met the target's own index. */
async function notAppended({ session, names, record }: Publication, cause: unknown): Promise<unknown> {
  const name = serverFieldsOf(cause)?.constraint;
  const index = name === undefined ? undefined : targetIndex(record, name);
  const culprits = await culpritsOf(session, names, record, cause, { index, rows: requireRelation(record.staging) });
  if (!culprits) return cause;
  // One row of the key here: the other was in the target.
  const what = culpritsText(record, culprits, culprits.rows === 1);
  if (what === undefined) return cause;
  return notUnique(record, culprits, what, {
    left: 'Nothing was appended.',
    next: `${mendText(record)} Until then the rows are in ${record.staging}.`,
  });
}

async function blockedBy(session: PgSession, record: TableRecord): Promise<string> {
  const target = await findTarget(session, record.spec.to);
  const staging = await findRelation(session, requireRelation(record.staging));
  const oids = [target?.oid, staging].filter((oid) => oid !== undefined);
  const [holder, ...others] = await relationHolders(session, oids);
  if (!holder) return `waiting for a lock on ${record.spec.to}`;
  const named = holder.application === '' ? '' : ` (${holder.application})`;
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return `waiting for session ${holder.pid}${named}${more} to release ${record.spec.to}`;
}

/** One transaction. Staging is locked before the target, so that nobody waits at the target for whoever still has staging. */
async function swap(publication: Publication, totals: ReceiptTotals, last: LastValues): Promise<void> {
  const { session, record, tuning } = publication;
  await session.query(`SET LOCAL lock_timeout TO ${tuning.lockWait}`);
  if (!(await claimSwap(publication))) return;
  await reach('publish: before locks');
  const staging = await lockStaging(session, record);
  await reach('publish: after lock of staging');
  const target = await lockTarget(session, record);
  await reach('publish: after lock of target');
  await requireUnchanged(session, record, target);
  if (record.spec.mode === 'append' && target) await append(publication, staging, target, { rows: totals.rows, last });
  else await swapIn(session, { record, staging, target, last });
  await reach('publish: after swap');
  await markPublished(publication, totals);
}

/** Takes the table's row for the swap. False: it is published. */
async function claimSwap({ session, names, record }: Publication): Promise<boolean> {
  const key = { run: record.run, table: record.spec.table };
  await lockPublishing(session, key);
  const state = await readOwnState(session, names, record, 'FOR UPDATE');
  if (state === 'open') throw reopened(key);
  if (state !== 'publishing' && state !== 'published') throw runClosed(key, state);
  return state === 'publishing';
}

async function markPublished({ session, names, record }: Publication, totals: ReceiptTotals): Promise<void> {
  const { rows, bytes, skipped, quarantined = 0 } = totals;
  await session.query(
    `UPDATE ${names.runTables} SET state = 'published', rows = $3, bytes = $4, skipped = $5, quarantined = $6, changed_at = clock_timestamp()
     WHERE run = $1 AND table_name = $2`,
    [record.run, record.spec.table, rows, bytes, skipped, quarantined],
  );
  await reach('publish: before COMMIT');
}

async function lockStaging(session: PgSession, record: TableRecord): Promise<Relation & { oid: number }> {
  const staging = requireRelation(record.staging);
  const oid = await findRelation(session, staging);
  if (oid === undefined) throw targetChanged(session, record, [`its staging ${record.staging} is gone`]);
  await session.query(`LOCK TABLE ${quoteRelation(staging)} IN ACCESS EXCLUSIVE MODE`);
  return { ...staging, oid };
}

async function append(
  { session, record }: Publication,
  staging: Relation,
  target: Target,
  { rows, last }: { rows: number; last: LastValues },
): Promise<void> {
  const columns = quoteColumns(record.columns);
  // From here on it waits for rows of other transactions, not for the table: nobody queues behind it.
  await session.query(`SET LOCAL lock_timeout TO '60s'`);
  const written = await session.execute(
    `INSERT INTO ${quoteRelation(target)} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${quoteRelation(staging)}`,
  );
  if (written !== rows) throw appendedOther(record, rows, written);
  await advanceSequences(session, target, last);
  await session.query(`DROP TABLE ${quoteRelation(staging)}`);
}

async function advanceSequences(session: PgSession, target: Target, last: LastValues): Promise<void> {
  for (const sequence of await ownedSequences(session, target.oid)) {
    const value = last.get(sequence.column);
    if (value !== undefined && sequence.mayAdvance) await advance(session, sequence, sequence, value);
  }
}

function appendedOther(record: TableRecord, expected: number, written: number): LonghaulError {
  return new LonghaulError(
    'CountMismatch',
    `${expected} rows were loaded for ${record.spec.to} and ${written} would have been appended; nothing was appended.`,
    { next: 'See whether a trigger or rule of the target drops rows.' },
  );
}

function reopened({ run, table }: { run: string; table: string }): LonghaulError {
  return new LonghaulError('Conflict', `Table ${table} of run ${run} was opened again while it was being published.`, {
    next: 'It is tried again.',
  });
}

function unplanned({ run, table }: { run: string; table: string }): LonghaulError {
  return new LonghaulError(
    'PlanChanged',
    `Table ${table} of run ${run} has no plan, so nothing of it can be published.`,
    {
      next: 'Start the job again.',
    },
  );
}

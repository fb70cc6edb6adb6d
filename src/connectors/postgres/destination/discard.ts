import type { TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { PgSession } from '../session.js';
import { formatRelation, quoteRelation, type Relation } from '../sql.js';
import type { LedgerNames } from './ledger-schema.js';
import { endAllOf, relationHolders, stagingWriters } from './locks.js';
import { transaction } from './queries.js';
import { readState } from './records.js';
import { earlierStagings, stagingIn } from './staging-name.js';
import { findRelation } from './target.js';

/**
 * See `DestinationSession.discard`. Only what the ledger calls discarded: staging of a suspended table is worth its receipts,
 * and without it they would be promises of rows that are nowhere.
 */
export async function discard(session: PgSession, names: LedgerNames, record: TableRecord): Promise<void> {
  const key = { run: record.run, table: record.spec.table };
  const state = await readState(session, names, key);
  if (state === 'published') return;
  if (state !== undefined && state !== 'discarded') throw notDiscarded(record, state);
  const staging = stagingIn(record);
  if (staging === undefined) return;
  await dropStagings(session, [...earlierStagings(record), staging], key.table);
}

/** Drops staging tables that nobody may write to any more, after ending whoever still would. Idempotent. */
export async function dropStagings(session: PgSession, stagings: readonly Relation[], table: string): Promise<void> {
  for (const staging of stagings) await dropStaging(session, staging, table);
}

async function dropStaging(session: PgSession, staging: Relation, table: string): Promise<void> {
  const oid = await findRelation(session, staging);
  if (oid === undefined) return;
  await reach('discard: before sessions end');
  await endAllOf(session, () => stagingWriters(session, oid), `the staging of ${table}`);
  await reach('discard: after sessions end');
  try {
    await transaction(session, async () => {
      await session.query(`DROP TABLE IF EXISTS ${quoteRelation(staging)}`);
      await reach('discard: before COMMIT');
    });
  } catch (cause) {
    throw cause instanceof LonghaulError && cause.code === 'LockTimeout'
      ? await stillRead(session, formatRelation(staging), oid)
      : cause;
  }
  await reach('discard: after COMMIT');
}

async function stillRead(session: PgSession, staging: string, oid: number): Promise<LonghaulError> {
  const [holder] = await relationHolders(session, [oid]);
  const who = holder
    ? `session ${holder.pid}${holder.application === '' ? '' : ` (${holder.application})`}`
    : 'a session';
  return new LonghaulError(
    'LockTimeout',
    `Connection "${session.name}": ${staging} is not removed yet: ${who} reads it.`,
    {
      next: 'Wait until it is done, or end it: removing is tried again.',
    },
  );
}

function notDiscarded({ run, spec, staging }: TableRecord, state: string): LonghaulError {
  return new LonghaulError('Unknown', `${staging} is kept: table ${spec.table} of run ${run} is ${state}.`, {
    next: 'Close the run as discarded first.',
  });
}

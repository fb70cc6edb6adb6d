import { reach } from '../../../core/fail-points.js';
import type { CloseOptions } from '../../types.js';
import type { PgSession } from '../session.js';
import { lockOpening } from './housekeeping.js';
import type { LedgerNames } from './ledger-schema.js';
import { endPublishing } from './publish-lock.js';
import { transaction } from './queries.js';

const CLOSED_FROM = {
  suspended: ['open', 'publishing'],
  discarded: ['open', 'publishing', 'suspended'],
} as const;

/**
 * See `Ledger.closeRun`. Ends whoever publishes, and waits for the tables' rows, which a commit holds for a moment: after it, neither
 * happens. Under the lock of opening: a run that was resumed since it was listed has changed when this gets the lock.
 */
export async function closeRun(
  session: PgSession,
  names: LedgerNames,
  { run, state }: { run: string; state: keyof typeof CLOSED_FROM },
  { unchangedSince }: CloseOptions = {},
): Promise<boolean> {
  const done = await transaction(session, async () => {
    await lockOpening(session, names);
    if (unchangedSince !== undefined && (await hasChanged(session, names, { run, state }, unchangedSince)))
      return false;
    await endPublishing(session, names, run);
    await reach('close: before state');
    await session.query(
      `UPDATE ${names.runTables} SET state = $2, changed_at = clock_timestamp() WHERE run = $1 AND state = ANY ($3::text[])`,
      [run, state, CLOSED_FROM[state]],
    );
    await reach('close: before COMMIT');
    return true;
  });
  await reach('close: after COMMIT');
  return done;
}

/** Nothing has, where nothing is left to be closed: then this is a retry of a call that has closed it. */
async function hasChanged(
  session: PgSession,
  names: LedgerNames,
  { run, state }: { run: string; state: keyof typeof CLOSED_FROM },
  since: string,
): Promise<boolean> {
  const changed = await session.query(
    `SELECT FROM ${names.runs} r JOIN ${names.runTables} t USING (run) WHERE r.run = $1 GROUP BY r.run
     HAVING bool_or(t.state = ANY ($3::text[]))
        AND date_trunc('milliseconds', greatest(r.started_at, max(t.changed_at))) <> date_trunc('milliseconds', $2::timestamptz)`,
    [run, since, CLOSED_FROM[state]],
  );
  return changed.length > 0;
}

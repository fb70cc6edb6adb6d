import { Context } from '@temporalio/activity';
import { SNAPSHOT_HOLDERS, type HoldSnapshot, type SnapshotRef } from '../src/core/activities.js';
import { LonghaulError } from '../src/core/errors.js';
import { reach } from '../src/core/fail-points.js';
import type { TableRecord } from '../src/core/model.js';
import type { SnapshotSession } from '../src/connectors/types.js';
import { attempt, type Attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { openDestination } from './sessions.js';
import { openSnapshots } from './snapshots.js';

/**
 * Holds a snapshot until the activity is cancelled, or its session was ended at the source. Ended in any other way (its worker shuts down, or was taken to be dead), the
 * snapshot stays at the source for its lease, where the next attempt finds it.
 */
export function holdSnapshot(deps: Dependencies, ref: HoldSnapshot): Promise<{ ended: string }> {
  return attempt(deps, {}, async (running) => {
    const ending = new AbortController();
    await using session = await openSnapshots(deps, ref, { ...running.session(), signal: ending.signal });
    const ended = end(running, ending, session);
    await hold(deps, ref, running, session);
    running.log.info({ run: ref.run, snapshot: ref.snapshot, holder: ref.holder }, 'Snapshot held');
    running.meter.phase = `holding snapshot ${ref.snapshot}`;
    const reason = await keep(ref, running, session);
    return reason === undefined ? await ended : { ended: reason };
  });
}

/** Answers with why the session was ended at the source or on the way to it; with nothing when this attempt has left it. */
async function keep({ run, snapshot, holder }: HoldSnapshot, running: Attempt, session: SnapshotSession) {
  try {
    await session.keep(holder / SNAPSHOT_HOLDERS);
    return undefined;
  } catch (error) {
    if (running.signal.aborted || !(error instanceof LonghaulError) || error.handling !== 'connection') throw error;
    running.log.info({ run, snapshot, holder, error: error.message }, 'The session of a holder was ended');
    return error.message;
  }
}

/** Of the tables only what is not published yet has to be kept as it is. */
async function hold(deps: Dependencies, ref: SnapshotRef, running: Attempt, session: SnapshotSession): Promise<void> {
  running.meter.phase = `taking snapshot ${ref.snapshot}`;
  await using destination = await openDestination(deps, ref, running);
  const { ledger } = destination;
  const under = (await ledger.tables(ref.run)).filter(({ snapshot }) => snapshot === ref.snapshot);
  if (under.length === 0) throw unknownSnapshot(ref);
  await session.hold(ref, under.filter(isUnpublished), async () => (await ledger.snapshot(ref)) !== undefined);
  await reach('snapshot: before ledger');
  await ledger.putSnapshot(ref);
  await reach('snapshot: after ledger');
}

function isUnpublished({ state }: TableRecord): boolean {
  return state === 'open' || state === 'publishing';
}

/** The destination has failed over to a server that lacks the last start-over. */
function unknownSnapshot({ run, snapshot, destination }: SnapshotRef): LonghaulError {
  const message = `The ledger of "${destination}" has no table that is read under snapshot ${snapshot} of run ${run}: it has lost what it had committed.`;
  return new LonghaulError('SnapshotLost', message, {
    next: `With \`onSnapshotLost: restart\` its unpublished tables start over under a new one; otherwise start the job again with \`resume: ${run}\`.`,
  });
}

/** Only a cancellation that the workflow asked for lets go of the snapshot. Rejects with the reason of the attempt's end. */
function end({ signal }: Attempt, ending: AbortController, session: SnapshotSession): Promise<never> {
  const context = Context.current();
  const ended = new Promise<never>((_, reject) => {
    const stop = (): void => {
      const reason = signal.reason as Error;
      if (context.cancellationDetails?.cancelRequested) ending.abort(reason);
      else session.leave().catch((error: unknown) => ending.abort(error));
      reject(reason);
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  ended.catch(() => undefined);
  return ended;
}

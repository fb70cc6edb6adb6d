import { setCurrentDetails, setWorkflowOptions } from '@temporalio/workflow';
import type { SnapshotRef } from '../src/core/activities.js';
import { short } from './failures.js';
import { HOLDER_WAIT, holderActivity } from './proxies.js';
import { steadily } from './steady.js';

/**
 * Keeps a job's snapshot held until it is cancelled: a holder whose worker dies or shuts down is followed by another, which imports
 * the snapshot from the session that the first left behind. Fails when the snapshot is lost.
 */
export async function keepSnapshot(ref: SnapshotRef): Promise<void> {
  const hold = holderActivity(`hold snapshot ${ref.snapshot}`);
  await steadily(() => hold(ref), HOLDER_WAIT, {
    waiting: (message) => setCurrentDetails(`**waiting for connection** · ${short(message)}`),
  });
}

// A bug that throws a plain error ends the holder with it, instead of blocking its workflow task for ever.
setWorkflowOptions({ failureExceptionTypes: [Error] }, keepSnapshot);

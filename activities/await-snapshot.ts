import { setTimeout as sleep } from 'node:timers/promises';
import type { SnapshotRef } from '../src/core/activities.js';
import { reach } from '../src/core/fail-points.js';
import { attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { openDestination } from './sessions.js';
import { openSnapshots } from './snapshots.js';

/** Milliseconds between the first two looks at the source; each pause is twice the one before, up to the longest. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 500;

/**
 * Answers when the snapshot is held, and the ledger says that it was taken: before that, one that is seen at the source may still
 * make way for another.
 */
export function awaitSnapshot(deps: Dependencies, ref: SnapshotRef): Promise<{ takenAt: string }> {
  return attempt(deps, {}, async (running) => {
    running.meter.phase = `waiting for snapshot ${ref.snapshot}`;
    await using session = await openSnapshots(deps, ref, running.session());
    await using destination = await openDestination(deps, ref, running);
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      const taken = await destination.ledger.snapshot(ref);
      if (taken !== undefined && (await session.observe(ref)).holders > 0) {
        await reach('snapshot: before answer');
        return taken;
      }
      await sleep(pause, undefined, { signal: running.signal });
    }
  });
}

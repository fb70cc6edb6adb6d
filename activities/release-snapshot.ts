import type { SnapshotRef } from '../src/core/activities.js';
import { attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { openSnapshots } from './snapshots.js';

/** Ends what lost workers left at the source; holders that were cancelled have ended their sessions themselves. */
export function releaseSnapshot(deps: Dependencies, ref: SnapshotRef): Promise<{ ended: number }> {
  return attempt(deps, {}, async (running) => {
    running.meter.phase = `releasing snapshot ${ref.snapshot}`;
    await using session = await openSnapshots(deps, ref, running.session());
    const ended = await session.release(ref);
    running.log.info({ run: ref.run, snapshot: ref.snapshot, ended }, 'Snapshot released');
    return { ended };
  });
}

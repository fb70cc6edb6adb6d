import type { SnapshotRef, SnapshotSight } from '../src/core/activities.js';
import { attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { openSnapshots } from './snapshots.js';

/** Who holds a snapshot now, and what that costs its source. */
export function observeSnapshot(deps: Dependencies, ref: SnapshotRef): Promise<SnapshotSight> {
  return attempt(deps, {}, async (running) => {
    running.meter.phase = `looking at snapshot ${ref.snapshot}`;
    await using session = await openSnapshots(deps, ref, running.session());
    return await session.observe(ref);
  });
}

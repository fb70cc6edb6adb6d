import type { LonghaulActivities, SnapshotRef } from '../src/core/activities.js';
import { attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { openDestination } from './sessions.js';

/** Starts the unpublished tables of a run over under its next snapshot. */
export function startOver(deps: Dependencies, ref: SnapshotRef): ReturnType<LonghaulActivities['startOver']> {
  return attempt(deps, {}, async (running) => {
    await using session = await openDestination(deps, ref, running);
    running.meter.phase = 'starting over';
    const records = await session.ledger.startOver(ref);
    const unfinished = records.filter(({ state }) => state !== 'published');
    const published = records.filter(({ state }) => state === 'published').map(({ spec }) => spec.table);
    return { snapshot: Math.max(ref.snapshot, ...unfinished.map(({ snapshot = 0 }) => snapshot)), published };
  });
}

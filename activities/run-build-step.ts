import type { TableRef } from '../src/core/activities.js';
import type { Dependencies } from './dependencies.js';
import { atDestination } from './sessions.js';

/** Builds one thing on staging, e.g. the primary key; the meter shows the server's own progress. Idempotent. */
export function runBuildStep(
  deps: Dependencies,
  { step, label, ...ref }: TableRef & { step: number; label: string },
): Promise<void> {
  return atDestination(deps, ref, ({ session, record, running }) => {
    running.meter.phase = 'building';
    return session.build(record, { step, label }, running.meter);
  });
}

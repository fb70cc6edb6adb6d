import type { PublishOutcome, TableRef } from '../src/core/activities.js';
import type { Dependencies } from './dependencies.js';
import { atDestination } from './sessions.js';

/** Makes staging visible in one step, unless the ledger lacks receipts: those partitions go back to the workflow. */
export function publishTable(deps: Dependencies, ref: TableRef): Promise<PublishOutcome> {
  return atDestination(deps, ref, async ({ session, record, running }) => {
    running.meter.phase = 'publishing';
    const { missing, committed, skipped, rows, bytes } = await session.publish(record, running.meter);
    if (missing.length > 0) return { outcome: 'missing', ordinals: missing };
    return { outcome: 'published', committed, skipped, rows, bytes };
  });
}

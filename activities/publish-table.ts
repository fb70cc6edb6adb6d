import type { PublishOutcome, TableRef } from '../src/core/activities.js';
import { reach } from '../src/core/fail-points.js';
import type { Dependencies } from './dependencies.js';
import { atDestination, openSource, type OpenTable } from './sessions.js';

/** Makes staging visible in one step, unless the ledger lacks receipts: those partitions go back to the workflow. */
export function publishTable(deps: Dependencies, ref: TableRef): Promise<PublishOutcome> {
  return atDestination(deps, ref, async (open) => {
    const { session, record, running } = open;
    if (record.state !== 'published' && record.snapshot === undefined) await verifySource(deps, ref, open);
    running.meter.phase = 'publishing';
    const { missing, ...totals } = await session.publish(record, running.meter);
    if (missing.length > 0) return { outcome: 'missing', ordinals: missing };
    await reach('publish: before answer');
    const { rejectsTable } = session.ledger;
    return { outcome: 'published', ...totals, ...(totals.quarantined && rejectsTable && { rejectsTable }) };
  });
}

/** Rows may have gone where no partition of the plan reads, after the last attempt looked. A snapshot knows nothing of such rows. */
async function verifySource(deps: Dependencies, ref: TableRef, { record, running }: OpenTable): Promise<void> {
  running.meter.phase = 'verifying the source';
  await using source = await openSource(deps, ref, running);
  await source.verifyUnchanged?.(record);
}

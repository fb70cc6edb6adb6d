import type { PreparedTable, TableRef } from '../src/core/activities.js';
import type { PlanSummary } from '../src/core/model.js';
import type { Dependencies } from './dependencies.js';
import { atDestination, openSource, type OpenTable } from './sessions.js';

/** Makes staging and the durable plan, or finds them. A stored plan is never made anew: receipts belong to it. */
export function prepareTable(deps: Dependencies, ref: TableRef): Promise<PreparedTable> {
  return atDestination(deps, ref, async (open) => {
    const { session, record, running } = open;
    running.meter.phase = 'preparing';
    await session.prepare(record);
    const { ledger } = session;
    const plan = (await ledger.plan(ref.run, ref.table)) ?? (await makePlan(deps, ref, open));
    const { committed, skipped } = await ledger.totals(ref.run, ref.table, 0);
    return { plan, alreadyCommitted: committed + skipped, ...(skipped > 0 && { alreadySkipped: skipped }) };
  });
}

async function makePlan(deps: Dependencies, ref: TableRef, { session, running }: OpenTable): Promise<PlanSummary> {
  running.meter.phase = 'planning';
  await using source = await openSource(deps, ref, running);
  const record = await session.ledger.table(ref.run, ref.table, { queries: true });
  return await session.ledger.putPlan(record, await source.plan(record));
}

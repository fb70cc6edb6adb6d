import type { PartitionResult } from '../src/core/activities.js';
import { attemptPartition, resultOf, type PartitionName } from './attempt-partition.js';
import type { Dependencies } from './dependencies.js';
import { openDestination } from './sessions.js';

/** Puts the receipt that keeps a partition from ever being committed in this run; one that is committed stays so. */
export function skipPartition(deps: Dependencies, input: PartitionName): Promise<PartitionResult> {
  return attemptPartition(deps, input, async (running) => {
    const since = Date.now();
    await using session = await openDestination(deps, input, running);
    const { ledger } = session;
    const record = await ledger.table(input.run, input.table);
    const partition = await ledger.partition(input.run, input.table, input.ordinal);
    running.meter.partition = partition.label;
    running.meter.phase = 'skipping';
    const receipt = await ledger.skip(record, partition, running.number);
    const { state } = receipt;
    running.log.info({ state }, state === 'skipped' ? 'Partition skipped' : 'Not skipped: it was committed already');
    return resultOf(receipt, running, { found: true, since });
  });
}

import { LonghaulError } from '../../core/errors.js';
import type { Partition, Receipt, TableRecord } from '../../core/model.js';
import { predicateHash } from '../hash.js';
import type { LedgerEntry, MemoryServer } from './server.js';

export interface Claim {
  /** Of the attempt in `MemoryServer.attempts`. */
  readonly key: string;
  readonly predicateHash: string;
  /** The receipt that is there already. */
  readonly stored?: Receipt;
}

/** How all that decides on a partition begins: ends whoever is at work on it, and looks for its receipt. Throws PlanChanged. */
export function claim(
  server: MemoryServer,
  { receipts }: LedgerEntry,
  { run, spec, columns }: TableRecord,
  partition: Partition,
): Claim {
  const key = JSON.stringify([run, spec.table, partition.ordinal]);
  const zombie = server.attempts.get(key);
  if (zombie) zombie.alive = false;
  const hash = predicateHash(partition, columns);
  const stored = receipts.get(partition.ordinal);
  if (stored && stored.predicateHash !== hash) throw planChanged(run, spec.table, partition);
  return { key, predicateHash: hash, ...(stored && { stored }) };
}

function planChanged(run: string, table: string, { label }: Partition): LonghaulError {
  return new LonghaulError('PlanChanged', `The receipt of ${table} ${label} in run ${run} has another predicate.`);
}

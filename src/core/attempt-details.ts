/** Heartbeat details of copyPartition: what the web UI shows of an attempt in flight. */
export interface CopyProgress {
  readonly rows: number;
  readonly bytes: number;
  readonly phase: string;
  /** The partition's label, once the ledger told it. */
  readonly partition?: string;
}

/** Among the details of a failure of copyPartition: whose it is, as the plan calls it. */
export interface PartitionDetail {
  readonly partition: string;
}

/** The label in an attempt's failure details or last heartbeat; undefined when it ended before the ledger told it. */
export function labelIn(details: readonly unknown[]): string | undefined {
  for (const detail of details) {
    const { partition } = (typeof detail === 'object' && detail !== null ? detail : {}) as Partial<PartitionDetail>;
    if (typeof partition === 'string') return partition;
  }
  return undefined;
}

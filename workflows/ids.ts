/** Leaves room below Temporal's limit of 1,000 bytes, and reads well in a list. */
const MAX_TABLE_PART = 200;

/**
 * The workflow id of a table's child: `<job>/<table>`. Characters that are awkward in a shell or a URL are replaced; `index` (the
 * table's place in the job) tells apart what replacing or cutting would make equal.
 */
export function childWorkflowId(jobId: string, table: string, index: number): string {
  const clean = table.replace(/[^\p{L}\p{N}._-]+/gu, '_').slice(0, MAX_TABLE_PART);
  return clean === table ? `${jobId}/${table}` : `${jobId}/${clean}~${index + 1}`;
}

/** The workflow id of the child that holds the job's snapshot; no table's child has a name that begins so. */
export function snapshotWorkflowId(jobId: string): string {
  return `${jobId}/~snapshot`;
}

/** How a partition is called before the ledger has told its label: by its place, never by its keys. */
export function partitionLabel(ordinal: number, partitions: number): string {
  return `${ordinal + 1}/${partitions}`;
}

/** Whether a person who wrote `word` meant this partition: `17/100`, or just `17`; or a query's id. */
export function isCalled({ ordinal, label }: { ordinal: number; label: string }, word: string): boolean {
  return label === word || (word === String(ordinal + 1) && label.startsWith(`${word}/`));
}

import { LonghaulError } from '../core/errors.js';
import type { TableState } from '../core/model.js';

interface TableKey {
  readonly run: string;
  readonly table: string;
}

/** Nothing of this table may be written any more. `state` as the ledger has it: undefined, it doesn't know the table. */
export function runClosed({ run, table }: TableKey, state: TableState | 'closed' | undefined): LonghaulError {
  const what = state === undefined ? 'is not in the ledger' : `is ${state}`;
  return new LonghaulError('RunClosed', `Table ${table} of run ${run} ${what}: this attempt wrote nothing.`, {
    next: `Start the job again${state === 'suspended' ? `, with \`resume: ${run}\` to keep what was committed` : ''}.`,
  });
}

/** Its plan, receipts and staging are others now. */
export function startedOver({ run, table }: TableKey, snapshot: number | null | undefined): LonghaulError {
  const message = `Table ${table} of run ${run} was started over under snapshot ${snapshot}: this attempt wrote nothing.`;
  return new LonghaulError('RunClosed', message, { next: 'Nothing: its partitions are copied again.' });
}

import { LonghaulError } from '../../../core/errors.js';
import type { Context } from './context.js';
import { mapAll } from '../in-order.js';
import { readRecord } from './records.js';
import type { OpenedRun, TableEntry } from './run-state.js';

/** Positions of tables that are being published. */
export interface Settled {
  /** Those that their targets show already. Absent: none. */
  readonly published?: readonly number[];
  /** Those of which their targets do not tell: they may be published still. Absent: none. */
  readonly except?: readonly number[];
  /** Why, of the first of them. */
  readonly error?: LonghaulError;
}

/** Those of the others that `leaving` picks can't be published any more under the epoch that they are in. */
export async function settleAll(
  context: Context,
  opened: OpenedRun,
  leaving: (entry: TableEntry) => boolean = () => true,
): Promise<Settled> {
  const publishing = [...opened.tables.entries()].filter(([, entry]) => entry.state === 'publishing' && leaving(entry));
  const outcomes = await mapAll(publishing, ([position, entry]) => outcomeOf(context, opened, position, entry));
  const published = outcomes.flatMap(({ position, outcome }) => (outcome === 'published' ? [position] : []));
  const except = outcomes.flatMap(({ position, outcome }) => (outcome instanceof LonghaulError ? [position] : []));
  const error = outcomes.map(({ outcome }) => outcome).find((outcome) => outcome instanceof LonghaulError);
  return {
    ...(published.length > 0 && { published }),
    ...(except.length > 0 && { except }),
    ...(error && { error }),
  };
}

/** As `settleAll`; throws where a target does not tell. */
export async function settle(
  context: Context,
  opened: OpenedRun,
  leaving?: (entry: TableEntry) => boolean,
): Promise<Pick<Settled, 'published'>> {
  const { published, error } = await settleAll(context, opened, leaving);
  if (error) throw error;
  return published ? { published } : {};
}

async function outcomeOf(
  context: Context,
  opened: OpenedRun,
  position: number,
  { epoch, since, sums }: TableEntry,
): Promise<{ position: number; outcome: 'published' | 'closed' | LonghaulError }> {
  const record = await readRecord(context, opened, position);
  try {
    return { position, outcome: await context.targets.settle(record, epoch!, sums!.rows, since) };
  } catch (error) {
    if (!(error instanceof LonghaulError)) throw error;
    return { position, outcome: error };
  }
}

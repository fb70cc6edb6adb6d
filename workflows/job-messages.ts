import { bounded, boundedLines, counted } from '../src/core/text.js';
import { parkedLines } from './details.js';
import type { ChildEnding } from './failures.js';
import type { TableProgress } from './messages.js';

/** How a job that did not end well says so. */

/** Bytes of a job's failure, beside what the server adds to it. */
export const FAILURE_BYTES = 3_500;

export type TableFailure = ChildEnding & { readonly table: string; readonly progress: TableProgress };

/** `partly`: some of the failed tables publish each partition by itself. */
export function failedMessage(
  failures: readonly TableFailure[],
  { tables, run, partly }: { readonly tables: number; readonly run: string; readonly partly: boolean },
): string {
  const published = failures.filter((each) => each.published).length;
  const targets = partly
    ? 'their targets are as they were, but for partitions published one by one.'
    : targetsOf(failures.length, published);
  const head = `${failures.length} of ${counted(tables, 'table')} failed; ${targets} To go on where this job stopped, start it again with "resume": "${run}".`;
  const each = Math.max(200, Math.floor((FAILURE_BYTES - head.length) / failures.length) - 10);
  const lines = failures.map(({ table, message, progress }) =>
    bounded(`${table}: ${reasonOf(message, progress)}`, each),
  );
  return boundedLines([head, ...lines], FAILURE_BYTES);
}

/** Why a job ends whose snapshot is gone and that must not start over. */
export function lostMessage(message: string, run: string): string {
  const next = `Its unpublished tables are as they were. Start it again with "resume": "${run}": they start over under a new snapshot.`;
  return bounded(
    `The job's snapshot can't be used any more, and the job says onSnapshotLost: fail. ${message} ${next}`,
    FAILURE_BYTES,
  );
}

/** Why a job ends whose snapshot may not be held any longer. */
export function tooOldMessage(message: string, run: string): string {
  const next = `Tables that were not published are as they were. Start the job again with "resume": "${run}": they start over under a new snapshot. If they need longer, raise maxSnapshotAge, or make several jobs of them.`;
  return bounded(`${message} ${next}`, FAILURE_BYTES);
}

/** What became of the targets of tables that failed. */
function targetsOf(failed: number, published: number): string {
  if (published === 0) return 'their targets are as they were.';
  const compare = 'published before that: compare with the source before using.';
  if (published === failed) return `they were ${compare}`;
  return `${published} of these were ${compare} The targets of the others are as they were.`;
}

/** Why a job ends whose published tables the destination loses again and again. */
export function lostAgain(tables: readonly string[], run: string): string {
  const next = `See why the destination falls back, then start the job again with "resume": "${run}".`;
  return bounded(
    `The destination's ledger does not have these tables as published any more, though they were, more than once: ${tables.join(', ')}. ${next}`,
    FAILURE_BYTES,
  );
}

export function sumsMessage(tables: readonly string[]): string {
  return bounded(
    `The sums of these tables do not add up: ${tables.join(', ')}. Compare them before using them.`,
    2_000,
  );
}

function reasonOf(message: string, { parked, parkedMore }: TableProgress): string {
  if (parked.length === 0 || message.includes(parked[0]!.label)) return message;
  const more = parkedMore === undefined ? [] : [`… and ${counted(parkedMore, 'parked partition')} more`];
  return [message, ...parkedLines(parked), ...more].join('\n');
}

import { reach } from '../../../core/fail-points.js';
import type { CloseOptions, SnapshotKey } from '../../types.js';
import type { Context } from './context.js';
import { changedAtOf, isClosable, isUnder, type RunState } from './run-state.js';
import { settle } from './settle.js';

/** See `Ledger.closeRun`. What targets show already is published, however its publisher ended. */
export async function closeRun(
  context: Context,
  run: string,
  to: 'suspended' | 'discarded',
  { unchangedSince }: CloseOptions = {},
): Promise<boolean> {
  let done = true;
  await reach('close: before state');
  await context.logs.change(run, async ({ opened }) => {
    const closing = opened?.tables.some((entry) => isClosable(entry, to)) ?? false;
    done = !opened || !closing || unchangedSince === undefined || changedAtOf(opened) === Date.parse(unchangedSince);
    if (!opened || !closing || !done) return undefined;
    return { kind: 'close', state: to, ...(await settle(context, opened)) };
  });
  await reach('close: after COMMIT');
  return done;
}

/** See `Ledger.startOver`. */
export function startOver(context: Context, { run, snapshot }: SnapshotKey): Promise<RunState> {
  return context.logs.change(run, async ({ opened }) => {
    if (!opened?.tables.some((entry) => isUnder(entry, snapshot))) return undefined;
    const published = await settle(context, opened, (entry) => isUnder(entry, snapshot));
    return { kind: 'startOver', snapshot, ...published };
  });
}

import type { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { CloseOptions, SnapshotKey } from '../../types.js';
import type { Context } from './context.js';
import { changedAtOf, isClosable, isUnder, type RunState } from './run-state.js';
import { settle, settleAll } from './settle.js';

/**
 * See `Ledger.closeRun`. What targets show already is published, however its publisher ended. A table whose target does not tell keeps none of the
 * others open; why it is not closed is thrown then.
 */
export async function closeRun(
  context: Context,
  run: string,
  to: 'suspended' | 'discarded',
  { unchangedSince }: CloseOptions = {},
): Promise<boolean> {
  let done = true;
  let left: LonghaulError | undefined;
  await reach('close: before state');
  await context.logs.change(run, async ({ opened }) => {
    left = undefined;
    const closing = opened?.tables.some((entry) => isClosable(entry, to)) ?? false;
    done = !opened || !closing || unchangedSince === undefined || changedAtOf(opened) === Date.parse(unchangedSince);
    if (!opened || !closing || !done) return undefined;
    const settled = await settleAll(context, opened);
    left = settled.error;
    const { published, except } = settled;
    return { kind: 'close', state: to, ...(published && { published }), ...(except && { except }) };
  });
  if (left) throw left;
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

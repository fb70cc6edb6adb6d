import { LonghaulError } from '../../../core/errors.js';
import type { ObjectStore } from '../../objects/store.js';
import { actionsOf, decodePath, type Action } from './actions.js';
import { listLog } from './listing.js';
import { commitPath } from './names.js';
import { checkpointActions } from './read-checkpoint.js';

const OURS = '_longhaul/';

/**
 * The paths below `_longhaul/` of the table, from the store's root, that any version still in the log refers to, as active or removed:
 * files that time travel, a clone or a restore may need. Some come more than once. What is not among them belongs to no version that
 * was committed before the call.
 */
export async function* referencedFiles(store: ObjectStore, tablePath: string): AsyncGenerator<string> {
  const { commits, checkpoints } = await listLog(store, tablePath);
  for (const checkpoint of checkpoints) {
    for await (const action of checkpointActions(store, tablePath, checkpoint, 'files'))
      yield* ownPath(action, tablePath);
  }
  for (const version of commits) {
    const bytes = await store.get(commitPath(tablePath, version));
    if (bytes === undefined) throw cleanedMeanwhile(tablePath);
    for (const action of actionsOf(bytes, tablePath)) yield* ownPath(action, tablePath);
  }
}

export function* ownPath({ add, remove }: Action, tablePath: string): Generator<string> {
  for (const file of [add, remove]) {
    if (file === undefined) continue;
    const path = decodePath(file.path);
    const absolute = path.indexOf(`${tablePath}/${OURS}`);
    if (path.startsWith(OURS)) yield `${tablePath}/${path}`;
    else if (absolute >= 0) yield path.slice(absolute);
  }
}

/** A checkpoint that stands for it may have come after the log was listed. */
export function cleanedMeanwhile(tablePath: string): LonghaulError {
  return new LonghaulError(
    'Conflict',
    `Another engine has cleaned the log of Delta table ${tablePath} while it was read; nothing was removed.`,
    { next: 'Run clean again.' },
  );
}

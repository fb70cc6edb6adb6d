import type { Retained } from '../../lake/format.js';
import type { ObjectStore } from '../../objects/store.js';
import { actionsOf, type Metadata } from './actions.js';
import { refuseUncommittable } from './inspect.js';
import { listLog } from './listing.js';
import { commitPath } from './names.js';
import { cleanedMeanwhile, ownPath } from './references.js';
import { readSnapshot, type FileState } from './snapshot.js';

const UNITS: Readonly<Record<string, number>> = {
  ...{ second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000, week: 604_800_000 },
};

/** How long what is no longer of the newest version is kept, by the table's properties, and by Delta's defaults for them. */
const DEFAULTS = {
  'delta.deletedFileRetentionDuration': 'interval 1 week',
  'delta.logRetentionDuration': 'interval 30 days',
} as const;

/** In ms. What is not understood is kept for good. */
export function retentionOf({ configuration }: Pick<Metadata, 'configuration'>, key: keyof typeof DEFAULTS): number {
  const text = configuration[key] ?? DEFAULTS[key];
  const match = /^(?:interval\s+)?(\d+)\s+([a-z]+?)s?$/i.exec(text.trim());
  const unit = match === null ? undefined : UNITS[match[2]!.toLowerCase()];
  return unit === undefined ? Infinity : Number(match![1]) * unit;
}

/**
 * The files of every version that was the newest within the last `older` ms, or within `delta.deletedFileRetentionDuration` where that is
 * longer: those that are active, and those that were removed since. What a commit that is still in the log removes is told by it, also when a
 * checkpoint has forgotten it. Undefined: there is no table. Throws TargetChanged for a table of a kind that is not known here.
 */
export async function retainedFiles(
  store: ObjectStore,
  tablePath: string,
  older: number,
): Promise<Retained | undefined> {
  const snapshot = await readSnapshot(store, tablePath);
  if (snapshot === undefined) return undefined;
  refuseUncommittable(tablePath, snapshot.protocol);
  const since = Date.now() - Math.max(older, retentionOf(snapshot.metadata, 'delta.deletedFileRetentionDuration'));
  const files = new Set<string>();
  const keep = (state: FileState) => {
    if (isNeeded(state, since)) for (const path of ownPath(state, tablePath)) files.add(path);
  };
  for await (const state of snapshot.fileActions()) keep(state);
  for await (const state of removals(store, tablePath)) keep(state);
  return { files, since };
}

/** A removal without a time may have been just now. */
function isNeeded(state: FileState, since: number): boolean {
  return 'add' in state || (state.remove.deletionTimestamp ?? Infinity) >= since;
}

async function* removals(store: ObjectStore, tablePath: string): AsyncGenerator<FileState> {
  const { commits } = await listLog(store, tablePath);
  for (const version of commits) {
    const bytes = await store.get(commitPath(tablePath, version));
    if (bytes === undefined) throw cleanedMeanwhile(tablePath);
    for (const { remove } of actionsOf(bytes, tablePath)) if (remove) yield { remove };
  }
}

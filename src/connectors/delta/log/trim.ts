import type { ObjectInfo, ObjectStore } from '../../objects/store.js';
import { listLog, type CheckpointFiles } from './listing.js';
import { commitPath, logPath, versionOf } from './names.js';
import { commitFindings, featuresOf } from './protocol.js';
import { checkpointActions } from './read-checkpoint.js';
import { retentionOf } from './retention.js';
import { LogState, readSnapshot, tableOf, type Snapshot } from './snapshot.js';

const DAY = 86_400_000;

/**
 * The entries of a log that no version needs which was the newest within the last `older` ms, or within `delta.logRetentionDuration` where that is
 * longer, in the order in which they may be removed. As the protocol has it ("Metadata Cleanup"): the newest checkpoint is looked for
 * that is not newer than the version that was the newest at the last midnight (UTC) before that time; it stays, with its commit and all
 * that is later.
 */
export async function expiredEntries(store: ObjectStore, tablePath: string, older: number): Promise<string[]> {
  const snapshot = await readSnapshot(store, tablePath);
  if (snapshot === undefined || !mayTrim(snapshot)) return [];
  const kept = Math.max(older, retentionOf(snapshot.metadata, 'delta.logRetentionDuration'));
  const cutoff = Math.floor((Date.now() - kept) / DAY) * DAY;
  const entries = await entriesOf(store, tablePath);
  const checkpoint = await checkpointUpTo(store, tablePath, newestAt(entries, tablePath, cutoff));
  if (checkpoint === undefined) return [];
  return entries.filter(({ version }) => version < checkpoint.version).map(({ path }) => path);
}

/** Not where the table forbids it, and not where more has to be known about the checkpoints that are left. */
function mayTrim({ protocol, metadata }: Snapshot): boolean {
  if (commitFindings(protocol).length > 0 || featuresOf(protocol).has('checkpointProtection')) return false;
  return metadata.configuration['delta.enableExpiredLogCleanup']?.toLowerCase() !== 'false';
}

interface Entry extends ObjectInfo {
  readonly version: number;
}

/** Commits, checkpoints, checksums and compacted commits, the oldest first. */
async function entriesOf(store: ObjectStore, tablePath: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const page of store.list(logPath(tablePath))) {
    for (const each of page) {
      const version = versionOf(each.path.slice(logPath(tablePath).length));
      if (version !== undefined) entries.push({ ...each, version });
    }
  }
  return entries;
}

/** Every commit up to this version is as old as that. -1: none is. */
function newestAt(entries: readonly Entry[], tablePath: string, cutoff: number): number {
  let newest = -1;
  for (const { version, path, modifiedAt } of entries) {
    if (path !== commitPath(tablePath, version)) continue;
    if (modifiedAt.getTime() > cutoff) break;
    newest = version;
  }
  return newest;
}

/** One that can be read: what is before it will not be there any more. */
async function checkpointUpTo(
  store: ObjectStore,
  tablePath: string,
  version: number,
): Promise<CheckpointFiles | undefined> {
  const { checkpoints } = await listLog(store, tablePath);
  const checkpoint = checkpoints.filter((each) => each.version <= version).at(-1);
  if (checkpoint === undefined) return undefined;
  const state = new LogState();
  for await (const action of checkpointActions(store, tablePath, checkpoint, 'state')) state.apply(action);
  tableOf(state, tablePath);
  return checkpoint;
}

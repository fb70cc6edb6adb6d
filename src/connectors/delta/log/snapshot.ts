import type { ObjectStore } from '../../objects/store.js';
import {
  actionsOf,
  fileKey,
  logBroken,
  type Action,
  type AddAction,
  type Metadata,
  type Protocol,
  type RemoveAction,
  type Txn,
} from './actions.js';
import { findSegment, type Segment } from './listing.js';
import { commitPath } from './names.js';
import { checkpointActions, type Wanted } from './read-checkpoint.js';

/** A table as it is at one version. Its files stay in the log, since there can be millions. */
export interface Snapshot {
  readonly version: number;
  readonly protocol: Protocol;
  readonly metadata: Metadata;
  readonly txns: ReadonlyMap<string, Txn>;
  /** By appId: which commit they stand in, as far as it is after the checkpoint. */
  readonly txnVersions: ReadonlyMap<string, number>;
  /** Configurations of metadata domains. */
  readonly domains: ReadonlyMap<string, string>;
  /** Of the last commit, where the table has such times. */
  readonly inCommitTimestamp?: number;
  /** The active files, the latest first. In memory are only the names of those of commits after the checkpoint. */
  files(): AsyncGenerator<AddAction>;
  /** What a checkpoint has of files: active ones, and those that were removed. */
  fileActions(): AsyncGenerator<FileState>;
}

export type FileState = { readonly add: AddAction } | { readonly remove: RemoveAction };

/** Undefined: there is no table. `version`: not the latest one. */
export async function readSnapshot(
  store: ObjectStore,
  tablePath: string,
  { version }: { readonly version?: number } = {},
): Promise<Snapshot | undefined> {
  const read = await readState(store, tablePath, version);
  return read && snapshotOf(store, tablePath, read.segment, read.state);
}

export async function readState(
  store: ObjectStore,
  tablePath: string,
  version?: number,
): Promise<{ segment: Segment; state: LogState } | undefined> {
  const segment = await findSegment(store, tablePath, version);
  if (segment === undefined) return undefined;
  const state = new LogState();
  if (segment.checkpoint !== undefined) {
    for await (const action of checkpointActions(store, tablePath, segment.checkpoint, 'state')) state.apply(action);
    state.version = segment.checkpoint.version;
    if (segment.commits.length === 0) await applyTime(store, tablePath, segment.version, state);
  }
  for (const each of segment.commits) {
    state.applyCommit(each, actionsOf(await commitBytes(store, tablePath, each), tablePath, { files: false }));
  }
  tableOf(state, tablePath);
  return { segment, state };
}

/** A checkpoint doesn't keep what its own commit says of its time. */
async function applyTime(store: ObjectStore, tablePath: string, version: number, state: LogState): Promise<void> {
  const bytes = await store.get(commitPath(tablePath, version));
  if (bytes === undefined) return; // cleaned away: where times are in commits, it must not be (see `timeAfter`)
  for (const { commitInfo } of actionsOf(bytes, tablePath, { files: false })) {
    if (commitInfo !== undefined) state.apply({ commitInfo });
  }
}

/** What changes from commit to commit, without files. */
export class LogState {
  version = -1;
  protocol: Protocol | undefined;
  metadata: Metadata | undefined;
  readonly txns = new Map<string, Txn>();
  readonly txnVersions = new Map<string, number>();
  readonly domains = new Map<string, string>();
  inCommitTimestamp: number | undefined;

  apply({ protocol, metaData, txn, domainMetadata, commitInfo }: Action): void {
    if (protocol) this.protocol = protocol;
    if (metaData) this.metadata = metaData;
    if (txn) this.txns.set(txn.appId, txn);
    if (domainMetadata?.removed === true) this.domains.delete(domainMetadata.domain);
    else if (domainMetadata) this.domains.set(domainMetadata.domain, domainMetadata.configuration);
    if (commitInfo) this.inCommitTimestamp = commitInfo.inCommitTimestamp;
  }

  applyCommit(version: number, actions: Iterable<Action>): void {
    this.inCommitTimestamp = undefined;
    for (const action of actions) {
      this.apply(action);
      if (action.txn) this.txnVersions.set(action.txn.appId, version);
    }
    this.version = version;
  }
}

/** Throws where a log has no table in it. */
export function tableOf(
  { protocol, metadata }: LogState,
  tablePath: string,
): { protocol: Protocol; metadata: Metadata } {
  if (protocol !== undefined && metadata !== undefined) return { protocol, metadata };
  throw logBroken(tablePath, `it has no ${protocol === undefined ? 'protocol' : 'metadata'}`);
}

function snapshotOf(store: ObjectStore, tablePath: string, segment: Segment, state: LogState): Snapshot {
  const { txns, txnVersions, domains, inCommitTimestamp } = state;
  return {
    version: segment.version,
    ...tableOf(state, tablePath),
    ...{ txns, txnVersions, domains },
    ...(inCommitTimestamp !== undefined && { inCommitTimestamp }),
    fileActions: () => fileStates(store, tablePath, segment, 'all'),
    files: () => activeFiles(store, tablePath, segment),
  };
}

export async function* activeFiles(store: ObjectStore, tablePath: string, segment: Segment): AsyncGenerator<AddAction> {
  for await (const file of fileStates(store, tablePath, segment, 'files')) if ('add' in file) yield file.add;
}

/** From the last commit back to the checkpoint: the first that is said of a file is what holds. */
async function* fileStates(
  store: ObjectStore,
  tablePath: string,
  { checkpoint, commits }: Segment,
  wanted: Exclude<Wanted, 'state'>,
): AsyncGenerator<FileState> {
  const seen = new Set<string>();
  for (const version of commits.toReversed()) {
    for (const action of actionsOf(await commitBytes(store, tablePath, version), tablePath)) {
      const state = fileState(action);
      if (state === undefined) continue;
      const key = fileKey('add' in state ? state.add : state.remove);
      if (seen.has(key)) continue;
      seen.add(key);
      yield state;
    }
  }
  if (checkpoint === undefined) return;
  for await (const action of checkpointActions(store, tablePath, checkpoint, wanted)) {
    const state = fileState(action);
    if (state !== undefined && !seen.has(fileKey('add' in state ? state.add : state.remove))) yield state;
  }
}

export function fileState({ add, remove }: Action): FileState | undefined {
  return add ? { add } : remove ? { remove } : undefined;
}

async function commitBytes(store: ObjectStore, tablePath: string, version: number): Promise<Uint8Array> {
  const bytes = await store.get(commitPath(tablePath, version));
  if (bytes === undefined) throw logBroken(tablePath, `its commit ${version} is missing`);
  return bytes;
}

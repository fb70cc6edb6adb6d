import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { DataFile } from '../../lake/model.js';
import type { ObjectStore } from '../../objects/store.js';
import { collectAdds, type Adds } from './add.js';
import { commitBytes, writeOperation, type NewTable } from './build-commit.js';
import { refuseUncommittable, refuseUnfit } from './inspect.js';
import type { Written } from './schema.js';
import { tableOf, type LogState } from './snapshot.js';
import { INDEXED, indexedColumns } from './statistics.js';
import { LogTail } from './tail.js';

/**
 * The one step that makes a run's table visible, and its fence. A commit is the object of the next version, put if absent: who loses
 * the version reads what won, decides anew and takes the next one. So whatever stands in the log before a commit was seen by it: a
 * run's commit never follows another commit of it (`appId`), nor the word that it is closed (`closedAppId`).
 */
export interface FencedTarget {
  readonly store: ObjectStore;
  /** From the store's root. */
  readonly tablePath: string;
  /** Of the transaction that says: published. */
  readonly appId: string;
  /** Of the transaction that says: no publisher of its number or a lower one may commit. */
  readonly closedAppId: string;
  readonly epoch: number;
  /** `Longhaul/<version>`. */
  readonly engine: string;
}

export interface PublishRequest extends FencedTarget, Written, NewTable {
  /** Those that receipts name. */
  readonly files: AsyncIterable<DataFile>;
}

export interface Published {
  /** Absent: it was published before, and the commit is no longer in the log. */
  readonly version?: number;
  readonly alreadyPublished: boolean;
  /** See checkpoint.ts. */
  readonly checkpointDue: boolean;
}

/**
 * `append` adds the files to whatever the table is at that moment. `replace` also removes every file that is active in the version before,
 * those that another writer added meanwhile too: the table's content is this. Throws RunClosed; TargetChanged when the table can't take
 * the files (any more), or one of them is not there.
 */
export async function publishCommit(request: PublishRequest): Promise<Published> {
  const tail = await LogTail.open(request.store, request.tablePath);
  const before = decided(tail.state, request);
  if (before !== undefined) return before;
  refuse(tail.state, request);
  const adds = await collectAdds(request.files, {
    ...request,
    indexed: indexedOf(tail.state, request),
    now: Date.now(),
  });
  if (request.mode === 'replace') await tail.trackFiles();
  for (;;) {
    const done = decided(tail.state, request);
    if (done !== undefined) return done;
    refuse(tail.state, request);
    const bytes = publishBytes(tail, request, adds);
    await reach('publish: before COMMIT');
    if (await tail.put(bytes)) return published(tail);
    await tail.follow();
  }
}

function publishBytes(tail: LogTail, request: PublishRequest, adds: Adds): Buffer {
  const { appId, epoch, mode, engine, tablePath } = request;
  const removes = tail.files;
  return commitBytes(tail.state, {
    ...{ subject: tablePath, engine, create: request, adds },
    txn: { appId, version: epoch },
    operation: writeOperation(mode, request, adds, removes?.size ?? 0),
    ...(removes !== undefined && { removes: removes.values() }),
  });
}

function published({ next, state }: LogTail): Published {
  const interval = Number(state?.metadata?.configuration['delta.checkpointInterval'] ?? 10);
  return { version: next, alreadyPublished: false, checkpointDue: next > 0 && next % interval === 0 };
}

/** What the log says of the run already. */
function decided(
  state: LogState | undefined,
  { appId, closedAppId, epoch, tablePath }: FencedTarget,
): Published | undefined {
  if (state?.txns.has(appId) === true) {
    const version = state.txnVersions.get(appId);
    return { ...(version !== undefined && { version }), alreadyPublished: true, checkpointDue: false };
  }
  if ((state?.txns.get(closedAppId)?.version ?? -1) < epoch) return undefined;
  throw new LonghaulError(
    'RunClosed',
    `The run was closed while Delta table ${tablePath} was about to be published; the table is as it was`,
  );
}

function refuse(state: LogState | undefined, request: Written & FencedTarget): void {
  refuseUnfit(request.tablePath, state && tableOf(state, request.tablePath), request);
}

function indexedOf(state: LogState | undefined, { columns, partitionBy, tablePath }: PublishRequest) {
  if (state === undefined) return columns.filter(({ name }) => !partitionBy.includes(name)).slice(0, INDEXED);
  return indexedColumns(columns, tableOf(state, tablePath).metadata, state.domains.get('delta.clustering'));
}

/**
 * Answers `published` when the run's commit is in the log; otherwise says there that it is closed, after which no publisher of this
 * epoch or a lower one can commit. Where there is no table yet, that takes the table's first version: it is left empty.
 */
export async function settle(request: FencedTarget & { readonly create: NewTable }): Promise<'published' | 'closed'> {
  const { store, tablePath, appId, closedAppId, epoch, engine, create } = request;
  const tail = await LogTail.open(store, tablePath);
  for (;;) {
    if (tail.state?.txns.has(appId) === true) return 'published';
    if ((tail.state?.txns.get(closedAppId)?.version ?? -1) >= epoch) return 'closed';
    if (tail.state?.protocol !== undefined) refuseUncommittable(tablePath, tail.state.protocol);
    const bytes = commitBytes(tail.state, {
      ...{ subject: tablePath, engine, create },
      txn: { appId: closedAppId, version: epoch },
      operation: { operation: 'CLOSE RUN', operationParameters: {}, isBlindAppend: true },
    });
    if (await tail.put(bytes)) return 'closed';
    await tail.follow();
  }
}

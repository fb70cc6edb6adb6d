import { randomUUID } from 'node:crypto';
import type { LakeColumn } from '../../lake/model.js';
import type { Mode } from '../../../core/model.js';
import type { Metadata, Protocol, Txn } from './actions.js';
import { logBroken } from './actions.js';
import type { Adds } from './add.js';
import { featuresOf, isSet, newProtocol } from './protocol.js';
import { schemaString } from './schema.js';
import type { LogState } from './snapshot.js';

/** What a new table is created as. */
export interface NewTable {
  readonly columns: readonly LakeColumn[];
  readonly partitionBy: readonly string[];
  /** For people. */
  readonly description?: string;
}

export interface CommitContent {
  readonly subject: string;
  /** `Longhaul/<version>`. */
  readonly engine: string;
  readonly operation: Readonly<Record<string, unknown>> & { readonly operation: string };
  readonly txn: Pick<Txn, 'appId' | 'version'>;
  readonly adds?: Adds;
  /** Lines without their last brackets. */
  readonly removes?: Iterable<string>;
  readonly create: NewTable;
}

/** The bytes of the commit after `state` (undefined: of the first one). No two of them are equal. */
export function commitBytes(state: LogState | undefined, content: CommitContent): Buffer {
  const now = Date.now();
  const created = state === undefined ? newTable(content.create, now) : {};
  const protocol = state?.protocol ?? created.protocol!;
  const tracked = tracksRows(protocol, state?.metadata) ? new RowIds(state!) : undefined;
  const chunks: Buffer[] = [];
  const put = (action: object) => chunks.push(Buffer.from(`${JSON.stringify(action)}\n`));
  put({ commitInfo: infoOf(state, content, now, protocol) });
  if (created.protocol) put({ protocol: created.protocol });
  if (created.metaData) put({ metaData: created.metaData });
  put({ txn: { ...content.txn, lastUpdated: now } });
  for (const line of content.removes ?? []) chunks.push(Buffer.from(`${line},"deletionTimestamp":${now}}}\n`));
  content.adds?.lines.forEach((line, index) => {
    chunks.push(line, Buffer.from(`${tracked?.next(content.adds!.rows[index]!) ?? ''}}}\n`));
  });
  if (tracked?.moved === true) put({ domainMetadata: tracked.domain() });
  return Buffer.concat(chunks);
}

function newTable(
  { columns, partitionBy, description }: NewTable,
  now: number,
): { protocol?: Protocol; metaData?: Metadata } {
  const metaData = {
    id: randomUUID(),
    ...(description !== undefined && { description }),
    format: { provider: 'parquet', options: {} },
    schemaString: schemaString(columns),
    partitionColumns: partitionBy,
    configuration: {},
    createdTime: now,
  };
  return { protocol: newProtocol(columns), metaData };
}

/** First in a commit, as tables with times in it demand. `txnId` makes it the only one of its kind. */
function infoOf(state: LogState | undefined, content: CommitContent, now: number, protocol: Protocol): object {
  return {
    ...(state !== undefined && timeAfter(state, content.subject, now)),
    timestamp: now,
    ...content.operation,
    ...(state !== undefined && { readVersion: state.version }),
    isolationLevel: 'Serializable',
    ...(featuresOf(protocol).has('rowTracking') && { tags: { 'delta.rowTracking.preserved': 'true' } }),
    engineInfo: content.engine,
    txnId: randomUUID(),
  };
}

function timeAfter({ metadata, inCommitTimestamp, version }: LogState, subject: string, now: number): object {
  if (metadata === undefined || !isSet(metadata, 'delta.enableInCommitTimestamps')) return {};
  if (inCommitTimestamp === undefined) throw logBroken(subject, `its commit ${version} doesn't say its time`);
  return { inCommitTimestamp: Math.max(now, inCommitTimestamp + 1) };
}

function tracksRows(protocol: Protocol, metadata: Metadata | undefined): boolean {
  return (
    metadata !== undefined && featuresOf(protocol).has('rowTracking') && !isSet(metadata, 'delta.rowTrackingSuspended')
  );
}

const ROW_TRACKING = 'delta.rowTracking';

/** Numbers of rows where a table has them: each file's are above all that were given before. */
class RowIds {
  moved = false;
  #highest: number;

  constructor(private readonly state: LogState) {
    const configuration = JSON.parse(state.domains.get(ROW_TRACKING) ?? '{}') as { rowIdHighWaterMark?: number };
    this.#highest = configuration.rowIdHighWaterMark ?? -1;
  }

  /** What an add of so many rows has besides. */
  next(rows: number): string {
    const base = this.#highest + 1;
    this.#highest += rows;
    this.moved = true;
    return `,"baseRowId":${base},"defaultRowCommitVersion":${this.state.version + 1}`;
  }

  domain(): object {
    const configuration = JSON.stringify({ rowIdHighWaterMark: this.#highest });
    return { domain: ROW_TRACKING, configuration, removed: false };
  }
}

/** As engines show it in a table's history. */
export function writeOperation(
  mode: Mode,
  { partitionBy }: NewTable,
  adds: Adds,
  removed: number,
): CommitContent['operation'] {
  return {
    operation: 'WRITE',
    operationParameters: {
      mode: mode === 'append' ? 'Append' : 'Overwrite',
      partitionBy: JSON.stringify(partitionBy),
    },
    isBlindAppend: mode === 'append',
    operationMetrics: {
      numFiles: String(adds.lines.length),
      numOutputRows: String(adds.totalRows),
      numOutputBytes: String(adds.bytes),
      ...(mode === 'replace' && { numRemovedFiles: String(removed) }),
    },
  };
}

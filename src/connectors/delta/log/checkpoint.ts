import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { ObjectStore, ObjectWriter } from '../../objects/store.js';
import { CHECKPOINT_COLUMNS, CHECKPOINT_SCHEMA, checkpointValue, type CheckpointColumn } from './checkpoint-schema.js';
import { checkpointPath, lastCheckpointPath } from './names.js';
import { commitFindings, isSet } from './protocol.js';
import { retentionOf } from './retention.js';
import { readSnapshot, type Snapshot } from './snapshot.js';

export interface CheckpointWritten {
  /** In actions, of files and others. */
  readonly size: number;
  readonly files: number;
  readonly bytes: number;
}

/** So many actions are a row group, and in memory. */
const ROW_GROUP = 10_000;

/**
 * Writes the checkpoint of a version, from which readers begin instead of from the first commit; then the pointer to it. Of no consequence
 * when it fails: the table is the same without. Undefined: there is one, or the table wants what is not written here (statistics as
 * columns), or is of a kind that is not known here.
 */
export async function writeCheckpoint(
  store: ObjectStore,
  tablePath: string,
  version: number,
): Promise<CheckpointWritten | undefined> {
  const snapshot = await readSnapshot(store, tablePath, { version });
  if (snapshot === undefined || !canWrite(snapshot)) return undefined;
  const path = checkpointPath(tablePath, version);
  if ((await store.head(path)) !== undefined) return undefined;
  await using object = await store.create(path);
  const counts = await writeActions(object, snapshot);
  const written = { ...counts, bytes: await object.finish() };
  await pointTo(store, tablePath, version, written);
  return written;
}

function canWrite({ protocol, metadata }: Snapshot): boolean {
  return commitFindings(protocol).length === 0 && !isSet(metadata, 'delta.checkpoint.writeStatsAsStruct');
}

interface Row {
  readonly column: CheckpointColumn;
  readonly body: object;
}

async function writeActions(object: ObjectWriter, snapshot: Snapshot): Promise<{ size: number; files: number }> {
  const bytes = new ObjectBytes(object);
  const writer = new ParquetWriter({
    writer: bytes,
    schema: CHECKPOINT_SCHEMA,
    createdBy: 'longhaul',
  });
  const counts = { size: 0, files: 0 };
  let rows: Row[] = [];
  const flush = async () => {
    await writer.write({ columnData: columnData(rows), rowGroupSize: ROW_GROUP });
    rows = [];
  };
  for await (const row of rowsOf(snapshot)) {
    counts.size++;
    if (row.column === 'add') counts.files++;
    rows.push(row);
    if (rows.length === ROW_GROUP) await flush();
  }
  if (rows.length > 0) await flush();
  await writer.finish();
  await bytes.flush();
  return counts;
}

function columnData(rows: readonly Row[]) {
  return CHECKPOINT_COLUMNS.map((name) => ({
    name,
    data: rows.map(({ column, body }) => (column === name ? checkpointValue(name, body) : undefined)),
  }));
}

async function* rowsOf(snapshot: Snapshot): AsyncGenerator<Row> {
  const { protocol, metadata, txns, domains } = snapshot;
  yield { column: 'protocol', body: protocol };
  yield { column: 'metaData', body: metadata };
  for (const txn of txns.values()) yield { column: 'txn', body: txn };
  for (const [domain, configuration] of domains) {
    yield { column: 'domainMetadata', body: { domain, configuration, removed: false } };
  }
  const expired = Date.now() - retentionOf(metadata, 'delta.deletedFileRetentionDuration');
  const asText = metadata.configuration['delta.checkpoint.writeStatsAsJson']?.toLowerCase() !== 'false';
  for await (const file of snapshot.fileActions()) {
    if ('add' in file) {
      yield { column: 'add', body: { ...file.add, dataChange: false, ...(!asText && { stats: undefined }) } };
    } else if ((file.remove.deletionTimestamp ?? 0) > expired) {
      yield { column: 'remove', body: { ...file.remove, dataChange: false } };
    }
  }
}

/** Leaves a pointer to a later checkpoint as it is, and one that another writer replaces at the same time. */
async function pointTo(
  store: ObjectStore,
  tablePath: string,
  version: number,
  written: CheckpointWritten,
): Promise<void> {
  const path = lastCheckpointPath(tablePath);
  const there = await store.head(path);
  const bytes = there === undefined ? undefined : await store.get(path);
  const before = Number(/"version"\s*:\s*(\d+)/.exec(Buffer.from(bytes ?? '').toString())?.[1] ?? -1);
  if (before >= version) return;
  const { size, files, bytes: sizeInBytes } = written;
  const pointer = JSON.stringify({ version, size, sizeInBytes, numOfAddFiles: files });
  await store.replace(path, Buffer.from(pointer), there?.tag);
}

/** Hands on what was written after each row group. */
class ObjectBytes extends ByteWriter {
  constructor(private readonly object: ObjectWriter) {
    super();
  }

  async flush(): Promise<void> {
    await this.object.write(this.getBytes());
    this.index = 0;
  }
}

import type { ColumnShape, TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import type { ByteStream, Format, Meter, PartitionKey, RowStream, SourceStream } from '../../types.js';
import type { ErrorContext } from '../errors.js';
import { RowEncoder } from '../rows/encoder.js';
import { PlaceTrail } from '../rows/trail.js';
import type { PgSession } from '../session.js';
import { describeColumns } from '../shape.js';
import { quoteColumns, quoteRelation, requireRelation } from '../sql.js';
import { CopyIn, feedOf, frameCopyData, pipe, pipeFrames, send } from '../wire/index.js';
import type { LedgerNames } from './ledger-schema.js';
import { Quarantine } from './quarantine.js';
import { savepointXid } from './receipts.js';
import { loadSettingAside } from './rejects.js';
import { rowFeed } from './row-feed.js';
import { findRelation } from './target.js';
import { targetChanged } from './target-changed.js';

/** What one attempt loads into, within its transaction. */
export interface Loading {
  readonly session: PgSession;
  readonly names: LedgerNames;
  readonly record: TableRecord;
  readonly key: PartitionKey;
  /** The partition's, for people. */
  readonly label: string;
}

/** The destination's own counts. */
export interface Loaded {
  readonly written: number;
  readonly quarantined: number;
  /** What rows have as xmin, beside the transaction's own. */
  readonly xids: readonly string[];
}

/** The whole stream, in whatever form the record says. Moves the meter. */
export async function loadStream(loading: Loading, stream: SourceStream, meter: Meter): Promise<Loaded> {
  const { record, session } = loading;
  if (stream.format !== record.format) throw unknownFormat(session, stream.format);
  requireColumns(record, stream);
  if (stream.kind === 'rows' && record.spec.rejects) return loadAround(loading, stream, meter, record.spec.rejects.max);
  const written = await (stream.kind === 'rows'
    ? loadRows(loading, stream, meter)
    : stream.format === 'csv'
      ? loadCsv(loading, stream, meter)
      : loadFrames(loading, stream, meter));
  meter.rows = written;
  return { written, quarantined: 0, xids: [] };
}

function loadFrames(loading: Loading, stream: ByteStream, meter: Meter): Promise<number> {
  const { session } = loading;
  const sql = copyStatement(loading, stream, stream.format === 'postgres.copy.binary' ? 'binary' : 'text');
  const copy = new CopyIn(session.client, { sql, signal: session.options.signal, meter });
  return counted(session, pipeFrames(stream, copy));
}

/** Framed as it comes: records may begin and end anywhere in a frame. */
function loadCsv(loading: Loading, stream: ByteStream, meter: Meter): Promise<number> {
  const { session } = loading;
  const copy = new CopyIn(session.client, {
    sql: copyStatement(loading, stream, 'csv'),
    signal: session.options.signal,
  });
  const feed = feedOf<Uint8Array>(stream, async (chunk, sink) => {
    await send(sink, frameCopyData(chunk));
    meter.bytes += chunk.length;
  });
  return counted(session, pipe(feed, copy), (line) => (stream.place ? stream.place(line) : { line }));
}

async function loadRows(loading: Loading, stream: RowStream, meter: Meter): Promise<number> {
  const { session } = loading;
  const encoder = await encoderFor(loading, stream);
  const trail = new PlaceTrail();
  const copy = new CopyIn(session.client, {
    sql: copyStatement(loading, stream, 'text'),
    signal: session.options.signal,
  });
  const feed = rowFeed(stream, { encoder, trail, meter, connection: session.name });
  return counted(session, pipe(feed, copy), (row) => trail.placeOf(row));
}

async function loadAround(loading: Loading, stream: RowStream, meter: Meter, max: number): Promise<Loaded> {
  const encoder = await encoderFor(loading, stream);
  const quarantine = new Quarantine(loading, max);
  const sql = copyStatement(loading, stream, 'text');
  const { session, names, key } = loading;
  const xid = () => savepointXid(session, names, key);
  const { written, xids } = await loadSettingAside(session, stream, { sql, xid, encoder, quarantine, meter });
  return { written, quarantined: quarantine.count, xids };
}

async function counted(
  session: PgSession,
  copy: Promise<{ readonly rowsWritten: number }>,
  place?: ErrorContext['place'],
): Promise<number> {
  try {
    return (await copy).rowsWritten;
  } catch (cause) {
    throw session.mapped(cause, place && { place });
  }
}

/** As the columns of what is loaded are now, in the order of the stream's. */
async function encoderFor({ session, record }: Loading, { columns }: RowStream): Promise<RowEncoder> {
  const staging = requireRelation(record.staging);
  const oid = await findRelation(session, staging);
  if (oid === undefined) throw targetChanged(session, record, [`${record.staging} is gone`]);
  const found = new Map((await describeColumns(session, { oid })).map((column) => [column.name, column]));
  return new RowEncoder(
    columns.map((name): ColumnShape => {
      const column = found.get(name);
      if (column === undefined) throw targetChanged(session, record, [`column "${name}" is gone`]);
      return column;
    }),
  );
}

/** A stream that lacks a column would leave it NULL. */
function requireColumns({ spec, columns }: TableRecord, stream: SourceStream): void {
  const given = stream.columns ?? columns;
  if (given.length === columns.length && columns.every((name) => given.includes(name))) return;
  throw new LonghaulError(
    'SourceChanged',
    `The source of ${spec.table} gives the columns ${given.join(', ')}, and ${columns.join(', ')} are to be copied; nothing was written.`,
    { next: 'Let the source give these columns, or start the job anew.' },
  );
}

function copyStatement({ record }: Loading, { columns }: SourceStream, format: 'binary' | 'text' | 'csv'): string {
  const into = `${quoteRelation(requireRelation(record.staging))} (${quoteColumns(columns ?? record.columns)})`;
  return `COPY ${into} FROM STDIN (FORMAT ${format})`;
}

function unknownFormat(session: PgSession, format: Format): LonghaulError {
  return new LonghaulError(
    'SourceChanged',
    `Connection "${session.name}" was not prepared to take a stream of format ${format}.`,
    { next: 'Start the job again, so that the format is chosen anew.' },
  );
}

import { basename } from 'node:path';
import { asyncBufferFromFile, parquetMetadataAsync, parquetScan, parquetSchema } from 'hyparquet';
import type { AsyncBuffer, FileMetaData } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { LonghaulError } from '../../../core/errors.js';
import type { MalformedRow, Place, Row, Value } from '../../types.js';
import { columnsRefused, wrongNames } from '../header.js';
import { inputName, streamError, type ReadOptions } from '../input.js';
import { unannotated, type Node } from './annotation.js';
import { converterOf, describeNode } from './column.js';
import { decodeText, Unfit } from './leaf.js';
import type { Convert } from './nested.js';

/** What a file is read for, as far as it can be sent to a thread. */
export type FileOptions = Pick<ReadOptions, 'columns' | 'subject'>;

/** Some rows of a file, in order. */
export interface FileBatch {
  readonly rows: readonly Row[];
  /** Of each of `rows`. */
  readonly places: readonly Place[];
  readonly malformed: readonly MalformedRow[];
  readonly bytes: number;
}

/** What a batch holds at most, unless one row is larger. */
const BATCH_ROWS = 1000;
const BATCH_BYTES = 256 << 10;

/** Of what the library does even to values without annotations. */
const PARSERS = { stringFromBytes: decodeText, timestampFromNanoseconds: (nanos: bigint) => nanos };

interface Column {
  readonly name: string;
  readonly convert: Convert;
}

interface OpenFile {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly metadata: FileMetaData;
  readonly file: AsyncBuffer;
}

/** The rows of a row group, column by column. */
interface Group {
  readonly first: number;
  readonly rows: number;
  readonly bytes: number;
  readonly given: readonly ArrayLike<unknown>[];
}

/** Reads a file, a row group at a time: that is what is in memory of it. Throws SourceRefused, SourceFailed. */
export async function* readFile(path: string, options: FileOptions): AsyncGenerator<FileBatch> {
  try {
    const open = await openFile(path, options);
    let first = 0;
    for (const { num_rows: count, total_byte_size: bytes } of open.metadata.row_groups) {
      const rows = Number(count);
      yield* batches(open, { first, rows, bytes: Number(bytes), given: await readGroup(open, first, first + rows) });
      first += rows;
    }
  } catch (error) {
    throw error instanceof LonghaulError ? error : unreadable(basename(path), options, error);
  }
}

async function openFile(path: string, options: FileOptions): Promise<OpenFile> {
  const name = basename(path);
  const file = await asyncBufferFromFile(path);
  const metadata = unannotated(await parquetMetadataAsync(file, { geoparquet: false }));
  return { name, file, metadata, columns: columnsOf(metadata, name, options) };
}

/** One column after the other, so that but one is held in two forms. A scan keeps what it has read: each has one of its own. */
async function readGroup({ file, metadata, columns }: OpenFile, rowStart: number, rowEnd: number) {
  const scan = await parquetScan({ file, metadata, compressors, parsers: PARSERS, utf8: false, geoparquet: false });
  const given: ArrayLike<unknown>[] = [];
  if (rowEnd === rowStart) return given;
  for (const { name } of columns) {
    const values = await scan.readColumn({ column: name, rowStart, rowEnd });
    if (values.length !== rowEnd - rowStart) throw new Error(`column "${name}" has ${values.length} values`);
    given.push(values);
  }
  return given;
}

function* batches({ name, columns }: OpenFile, { first, rows, bytes, given }: Group): Generator<FileBatch> {
  const bytesARow = Math.max(1, bytes / rows);
  const size = Math.max(1, Math.min(BATCH_ROWS, Math.floor(BATCH_BYTES / bytesARow)));
  for (let start = 0; start < rows; start += size) {
    const end = Math.min(rows, start + size);
    const batch = { rows: [] as Row[], places: [] as Place[], malformed: [] as MalformedRow[] };
    for (let index = start; index < end; index++) {
      const place = { file: name, line: first + index + 1 };
      const row = rowAt(columns, given, index);
      if ('error' in row) {
        batch.malformed.push({ raw: rawText(columns, given, index), error: row.error, place });
      } else {
        batch.rows.push(row.values);
        batch.places.push(place);
      }
    }
    yield { ...batch, bytes: Math.round(bytesARow * (end - start)) };
  }
}

function rowAt(columns: readonly Column[], given: Group['given'], index: number): { values: Row } | { error: string } {
  const values: Value[] = [];
  for (const [place, { name, convert }] of columns.entries()) {
    try {
      values.push(convert(given[place]![index]));
    } catch (error) {
      if (error instanceof Unfit) return { error: `column "${name}" ${error.message}` };
      throw error;
    }
  }
  return { values };
}

/** The row as it is in the file, as JSON: a moment is a count, a decimal its digits, bytes are in hexadecimal. */
function rawText(columns: readonly Column[], given: Group['given'], index: number): string {
  const physical = Object.fromEntries(columns.map(({ name }, place) => [name, given[place]![index]]));
  return JSON.stringify(physical, (_key, value: unknown) => {
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
    return typeof value === 'bigint' ? value.toString() : value;
  });
}

function columnsOf(metadata: FileMetaData, file: string, options: FileOptions): Column[] {
  const nodes = new Map(parquetSchema(metadata).children.map((node) => [node.element.name, node as Node]));
  const wrong = wrongNames([...nodes.keys()], options);
  if (wrong !== undefined) throw columnsRefused(`${inputName({ name: file })} ${wrong}`, options);
  return options.columns.map(({ name, type }) => {
    const node = nodes.get(name)!;
    const convert = converterOf(node, { type });
    if (convert !== undefined) return { name, convert };
    throw streamError(
      'SourceRefused',
      options,
      `column "${name}" of ${inputName({ name: file })} is ${describeNode(node)}, and the table's is ${type}`,
      'Write it as a type that the column takes: lists fit into array columns; lists, maps and structs into json and jsonb.',
    );
  });
}

function unreadable(file: string, options: FileOptions, error: unknown): Error {
  const reason = error instanceof Error ? error.message : String(error);
  return streamError(
    'SourceFailed',
    options,
    `${inputName({ name: file })} can't be read as a Parquet file (${reason})`,
    'The next attempt reads it anew. A file must be written and closed before it is handed over.',
  );
}

import { chunksOf } from './chunks.js';
import { readHeader } from './header.js';
import { brokenOff, inputName, streamError, type CsvDialect, type Input, type ReadOptions } from './input.js';
import { RecordScanner } from './record-scanner.js';

/** An input from its first record of data on. */
export interface OpenedCsv {
  /** Of the columns, as its header has them. Absent: it has none, or it is wholly empty. */
  readonly names?: readonly string[];
  /** The line that `chunks` begin with. */
  readonly line: number;
  /** To be iterated, or else the input stays open. */
  readonly chunks: AsyncIterable<Buffer>;
}

/** What has no end of a record in so many bytes is no header. */
const MAX_HEADER_BYTES = 1 << 20;

/** Reads the header off an input, if it is to have one. Throws SourceRefused, SourceFailed. */
export async function openCsv(input: Input, dialect: CsvDialect, options: ReadOptions): Promise<OpenedCsv> {
  const chunks = chunksOf(input, options);
  if (!dialect.header) return { chunks, line: 1 };
  try {
    const header = await takeHeader(chunks, input, options);
    if (header === undefined) return { chunks, line: 1 };
    const names = readHeader(header.record, input, dialect, options);
    return { names, line: header.nextLine, chunks: continued(header.rest, chunks) };
  } catch (error) {
    await chunks.return(undefined);
    throw error;
  }
}

/** Undefined: the input is empty. */
async function takeHeader(chunks: AsyncGenerator<Buffer>, input: Input, options: ReadOptions) {
  const scanner = new RecordScanner({ quotes: true });
  let read: Buffer = Buffer.alloc(0);
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
    const { ends, lines } = scanner.scan(next.value);
    const end = ends[0] === undefined ? undefined : read.length + ends[0];
    read = Buffer.concat([read, next.value]);
    if (end !== undefined) {
      return { record: read.subarray(0, end), rest: read.subarray(end), nextLine: lines[1] ?? scanner.recordLine };
    }
    if (read.length > MAX_HEADER_BYTES) throw noHeader(input, options);
  }
  if (read.length > 0) throw brokenOff(input, scanner, options);
  return undefined;
}

function noHeader(input: Input, options: ReadOptions): Error {
  return streamError(
    'SourceRefused',
    options,
    `${inputName(input)} has no header: there is no end of a record in its first ${MAX_HEADER_BYTES >> 20} MB`,
    'Print the names of the columns as the first record, or say `header: false`.',
  );
}

async function* continued(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (first.length > 0) yield first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

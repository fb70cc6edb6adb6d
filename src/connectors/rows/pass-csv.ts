import type { ByteStream } from '../types.js';
import { withCount } from './count.js';
import { CsvFraming } from './csv-framing.js';
import { brokenOff, inputName, streamError, type CsvDialect, type Input, type ReadOptions } from './input.js';
import { openCsv } from './open-csv.js';
import { PostgresLines } from './postgres-lines.js';
import { RecordScanner } from './record-scanner.js';

/**
 * CSV as it comes, as far as it can be: never parsed, but counted, and seen to consist of whole records. Headers are taken out, and
 * lines end in LF afterwards, since Postgres takes either of both but not a mixture. The delimiter has to be a comma. With a
 * header it resolves when that is read, since it has the order of the columns.
 */
export async function passCsv(
  inputs: AsyncIterable<Input>,
  dialect: CsvDialect,
  options: ReadOptions,
): Promise<ByteStream> {
  if (dialect.delimiter !== ',') throw new Error('only CSV with commas can be passed on as it is');
  const pass = new CsvPass(dialect, options);
  let chunks = pass.chunks(inputs);
  if (dialect.header) chunks = resumed(await chunks.next(), chunks);
  const { items, count } = withCount(chunks, () => pass.records);
  return {
    kind: 'bytes',
    format: 'csv',
    rows: count,
    ...(pass.names === undefined ? {} : { columns: pass.names }),
    place: (line) => pass.lines.place(line),
    [Symbol.asyncIterator]: () => items[Symbol.asyncIterator](),
  };
}

async function* resumed<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    if (first.done !== true) yield first.value;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

class CsvPass {
  records = 0;
  names: readonly string[] | undefined;
  readonly lines = new PostgresLines();

  constructor(
    private readonly dialect: CsvDialect,
    private readonly options: ReadOptions,
  ) {}

  async *chunks(inputs: AsyncIterable<Input>): AsyncGenerator<Uint8Array> {
    for await (const input of inputs) yield* this.#pass(input);
  }

  async *#pass(input: Input): AsyncGenerator<Uint8Array> {
    const { names, line, chunks } = await openCsv(input, this.dialect, this.options);
    const scanner = new RecordScanner({ quotes: true, line });
    const framing = new CsvFraming(scanner, input, this.options);
    if (names !== undefined) this.#agree(names, input);
    this.lines.begin(input.name, line);
    for await (const bytes of chunks) {
      const framed = framing.pass(bytes);
      this.lines.sent(framed, scanner.recordLine);
      this.records += framed.lines.length;
      if (framed.chunk.length > 0) yield framed.chunk;
    }
    if (framing.inRecord) throw brokenOff(input, scanner, this.options);
    this.lines.end(scanner.line);
  }

  #agree(names: readonly string[], input: Input): void {
    this.names ??= names;
    if (this.names.every((name, index) => name === names[index])) return;
    throw streamError(
      'SourceRefused',
      this.options,
      `the header of ${inputName(input)} has the columns in another order than the input before it`,
      'Print the same header in all of them.',
    );
  }
}

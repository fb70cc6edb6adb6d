import { isUtf8 } from 'node:buffer';
import { counted } from '../../core/text.js';
import type { Row, RowBatch, RowStream } from '../types.js';
import { splitRecord } from './csv-record.js';
import { brokenOff, type CsvDialect, type Input, type ReadOptions } from './input.js';
import { openCsv } from './open-csv.js';
import { batchOf, type RecordReader } from './record-batch.js';
import { recordBlocks } from './record-blocks.js';
import { RecordScanner } from './record-scanner.js';
import { rowStream } from './row-stream.js';

/**
 * CSV as rows of texts. An empty field is NULL, `""` the empty string. With a header, each input's columns come in its own order; an
 * input without a byte has no rows and needs none. A record that isn't one is malformed, and the next one is read.
 */
export function readCsv(inputs: AsyncIterable<Input>, dialect: CsvDialect, options: ReadOptions): RowStream {
  async function* batches(): AsyncGenerator<RowBatch> {
    for await (const input of inputs) yield* inputBatches(input, dialect, options);
  }
  return rowStream(
    options.columns.map(({ name }) => name),
    batches(),
  );
}

async function* inputBatches(input: Input, dialect: CsvDialect, options: ReadOptions): AsyncGenerator<RowBatch> {
  const columns = options.columns.map(({ name }) => name);
  const { names, line, chunks } = await openCsv(input, dialect, options);
  const reader = new CsvReader(names ?? columns, columns, dialect);
  const scanner = new RecordScanner({ quotes: true, line });
  for await (const block of recordBlocks(input, chunks, scanner, options)) {
    if (block.unended) throw brokenOff(input, scanner, options);
    yield batchOf(block, reader);
  }
}

class CsvReader implements RecordReader {
  readonly #names: readonly string[];
  readonly #delimiter: string;
  /** For each of the columns, its place in a record. Absent: they come in the columns' order. */
  readonly #order: readonly number[] | undefined;

  /** `names`: of a record's fields. */
  constructor(names: readonly string[], columns: readonly string[], { delimiter }: CsvDialect) {
    this.#names = names;
    this.#delimiter = delimiter;
    const order = columns.map((name) => names.indexOf(name));
    this.#order = order.every((place, index) => place === index) ? undefined : order;
  }

  read(record: string): Row | string {
    const split = splitRecord(record, this.#delimiter);
    if ('error' in split) return split.error;
    const { fields } = split;
    if (fields.length !== this.#names.length) return this.#wrongCount(record, fields.length);
    if (record.includes('\0')) {
      return `${this.#nameOf(fields, (field) => field.includes('\0'))} has a NUL character`;
    }
    return this.#order === undefined ? fields : this.#order.map((place) => fields[place]!);
  }

  notUtf8(record: Buffer): string {
    const split = splitRecord(record.toString('latin1'), this.#delimiter);
    if ('error' in split) return 'it is not UTF-8';
    return `${this.#nameOf(split.fields, (field) => !isUtf8(Buffer.from(field, 'latin1')))} is not UTF-8`;
  }

  #wrongCount(record: string, count: number): string {
    if (record === '') return 'it is an empty line';
    const columns = this.#names.length;
    return `it has ${counted(count, 'field')}, and there ${columns === 1 ? 'is 1 column' : `are ${columns} columns`}`;
  }

  #nameOf(fields: readonly (string | null)[], isIt: (field: string) => boolean): string {
    const name = this.#names[fields.findIndex((field) => field !== null && isIt(field))];
    return name === undefined ? 'it' : `column "${name}"`;
  }
}

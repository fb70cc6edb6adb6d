import { bounded } from '../../core/text.js';
import type { ColumnShape } from '../../core/model.js';
import type { Row, RowBatch, RowStream, Value } from '../types.js';
import { chunksOf } from './chunks.js';
import { columnKind, type ColumnKind } from './column-kind.js';
import { brokenOff, type Input, type ReadOptions } from './input.js';
import {
  Digits,
  isJsonMap,
  jsonText,
  NotJson,
  parseJson,
  unstorableWithin,
  type Json,
  type JsonMap,
} from './json-text.js';
import { batchOf, type RecordReader } from './record-batch.js';
import { recordBlocks } from './record-blocks.js';
import { RecordScanner } from './record-scanner.js';
import { rowStream } from './row-stream.js';

/**
 * One JSON object a line, its keys the names of columns; a column without a key is NULL. Numbers keep their digits. In a column of
 * a JSON type every value is JSON, and comes as its text; `null` is NULL everywhere. Lines of spaces are no rows. A last line without a
 * line break counts if it is a whole object, which no cut one is.
 */
export function readNdjson(inputs: AsyncIterable<Input>, options: ReadOptions): RowStream {
  const reader = new NdjsonReader(options.columns);
  async function* batches(): AsyncGenerator<RowBatch> {
    for await (const input of inputs) yield* inputBatches(input, reader, options);
  }
  return rowStream(
    options.columns.map(({ name }) => name),
    batches(),
  );
}

async function* inputBatches(input: Input, reader: NdjsonReader, options: ReadOptions): AsyncGenerator<RowBatch> {
  const scanner = new RecordScanner({ quotes: false });
  for await (const block of recordBlocks(input, chunksOf(input, options), scanner, options)) {
    if (block.unended && !isWholeObject(block.bytes)) throw brokenOff(input, scanner, options);
    yield batchOf(block, reader);
  }
}

function isWholeObject(bytes: Buffer): boolean {
  const text = bytes.toString('utf8');
  if (text.trim() === '') return true;
  try {
    return isJsonMap(parseJson(text));
  } catch {
    return false;
  }
}

/** What the columns can't hold, and why. */
class Unfit extends Error {}

class NdjsonReader implements RecordReader {
  readonly #columns: readonly (ColumnShape & { readonly kind: ColumnKind })[];
  readonly #names: ReadonlySet<string>;

  constructor(columns: readonly ColumnShape[]) {
    this.#columns = columns.map((column) => ({ ...column, kind: columnKind(column) }));
    this.#names = new Set(columns.map(({ name }) => name));
  }

  read(record: string): Row | string | undefined {
    if (record.trim() === '') return undefined;
    try {
      return this.#row(parseJson(record));
    } catch (error) {
      if (error instanceof NotJson || error instanceof Unfit) return error.message;
      if (error instanceof RangeError) return 'it is nested too deeply';
      throw error;
    }
  }

  notUtf8(): string {
    return 'it is not UTF-8';
  }

  #row(json: Json): Row {
    if (!isJsonMap(json)) throw new Unfit('it is no JSON object');
    const unknown = Object.keys(json).find((key) => !this.#names.has(key));
    if (unknown !== undefined) throw new Unfit(`it has the key "${bounded(unknown, 100)}", which is no column`);
    return this.#columns.map((column) => valueIn(json, column));
  }
}

function valueIn(object: JsonMap, { name, type, kind }: ColumnShape & { readonly kind: ColumnKind }): Value {
  const json = Object.hasOwn(object, name) ? object[name]! : null;
  const bad = unstorableWithin(json);
  if (bad !== undefined) throw new Unfit(`column "${name}" has ${bad}`);
  if (json === null) return null;
  if (kind.array && Array.isArray(json)) return (json as readonly Json[]).map((item) => itemOf(item, kind, name, type));
  return kind.json && !kind.array ? jsonText(json) : scalarOf(json, name, type);
}

function itemOf(json: Json, kind: ColumnKind, name: string, type: string): Value {
  if (json === null) return null;
  if (kind.json) return jsonText(json);
  if (Array.isArray(json)) return (json as readonly Json[]).map((item) => itemOf(item, kind, name, type));
  return scalarOf(json, name, type);
}

function scalarOf(json: Exclude<Json, null>, name: string, type: string): Value {
  if (json instanceof Digits) return json.text;
  if (typeof json === 'string' || typeof json === 'boolean') return json;
  throw new Unfit(`column "${name}" is ${type}, and the value is a JSON ${Array.isArray(json) ? 'list' : 'object'}`);
}

import { parentPort, workerData } from 'node:worker_threads';
import { Batch } from './batch.js';
import { BinaryRows } from './binary-rows.js';
import type { FinishedFile, FromThread, StreamSetup, ThreadData, ToThread } from './messages.js';
import { dealer } from './partition-values.js';
import { Payloads } from './payloads.js';
import { ColumnRefused, decodeOf, type Decode } from './row-group.js';
import { PartitionedTable, WholeTable, type Table } from './table.js';
import { TextRows } from './text-rows.js';

/** Turns the bytes of COPYs into Parquet files, in a thread of its own: chunks come in shared slots, files leave in pieces. */

/** Bytes of files that were sent and are not yet written: beyond, no slot is given back. */
const MOST_UNWRITTEN = 8 << 20;

const slots = (workerData as ThreadData).slots.map((slot) => new Uint8Array(slot));
const port = parentPort!;
const tell = (message: FromThread, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

/** Of the stream that came last: partitions of one table come one after another, and the engine has compiled its decoders. */
let made: { readonly of: string; readonly decodes: readonly Decode[] } | undefined;

function decodesOf({ columns, fields, form, outOfRange }: StreamSetup): readonly Decode[] {
  const of = JSON.stringify([columns, fields, form, outOfRange]);
  if (made?.of === of) return made.decodes;
  const decodes = columns.map((column, index) => {
    const decode = decodeOf(column, fields[index]!, form, outOfRange);
    if (decode === undefined) throw new Error(`column ${column.name} can't be decoded from ${form}`);
    return decode;
  });
  made = { of, decodes };
  return decodes;
}

/** One stream on its way into files. */
class Stream {
  readonly #table: Table;
  readonly #finder: BinaryRows | TextRows;
  readonly #payloads: Payloads;
  readonly #held: number[] = [];
  #unwritten = 0;
  #rows = 0;

  constructor(setup: StreamSetup) {
    this.#table = this.#tableOf(setup);
    const rows = setup.form === 'binary' ? BinaryRows : TextRows;
    this.#finder = new rows(setup.columns.length, (batch) => this.#decode(batch));
    this.#payloads = new Payloads(this.#finder);
  }

  take(slot: number, length: number): void {
    this.#payloads.walk(slots[slot]!, 0, length);
    this.#finder.flush();
    this.#held.push(slot);
    this.#giveBack();
  }

  written(bytes: number): void {
    this.#unwritten -= bytes;
    this.#giveBack();
  }

  end(): void {
    if (!this.#payloads.atBoundary) throw new Error('the stream of a COPY broke off within a message');
    this.#finder.end();
    this.#table.end();
    tell({ done: { rows: this.#rows } });
  }

  #giveBack(): void {
    if (this.#unwritten > MOST_UNWRITTEN) return;
    for (const slot of this.#held.splice(0)) tell({ free: slot, rows: this.#rows });
  }

  #decode(batch: Batch): void {
    try {
      this.#table.add(batch);
    } catch (error) {
      if (error instanceof ColumnRefused) error.refused.row += this.#rows;
      throw error;
    }
    this.#rows += batch.rows;
  }

  #tableOf(setup: StreamSetup): Table {
    const { columns, fields, partitionBy } = setup;
    const decodes = decodesOf(setup);
    const all = columns.map((column, index) => ({ column, field: fields[index]!, decode: decodes[index]! }));
    const kept = all.filter(({ column }) => !partitionBy.includes(column.name));
    const options = {
      ...{ columns: kept.map(({ column }) => column), decodes: kept.map(({ decode }) => decode) },
      ...{ compression: setup.compression, targetFileSize: setup.targetFileSize },
      send: (file: number, bytes: Uint8Array) => this.#send(file, bytes),
      finished: (file: FinishedFile) => tell({ finished: file }),
    };
    if (partitionBy.length === 0) return new WholeTable(options);
    const by = partitionBy.map((name) => all.find(({ column }) => column.name === name)!);
    const partitionOf = dealer(
      by.map(({ column }) => column),
      by.map(({ field }) => field),
      by.map(({ decode }) => decode),
    );
    return new PartitionedTable(options, partitionOf, (capacity) => new Batch(columns.length, capacity));
  }

  #send(file: number, bytes: Uint8Array): void {
    this.#unwritten += bytes.length;
    tell({ file, bytes }, [bytes.buffer as ArrayBuffer]);
  }
}

let stream: Stream | undefined;

function onMessage(message: ToThread): void {
  if (message === 'end') {
    stream!.end();
    stream = undefined;
  } else if ('setup' in message) stream = new Stream(message.setup);
  // What is written after the end is news to nobody.
  else if ('written' in message) stream?.written(message.written);
  else stream!.take(message.slot, message.length);
}

port.on('message', (message: ToThread) => {
  try {
    onMessage(message);
  } catch (error) {
    if (error instanceof ColumnRefused) {
      const { refused, column } = error;
      tell({ refused: { row: refused.row + 1, column, why: refused.why } });
    } else {
      tell({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
    port.close();
  }
});

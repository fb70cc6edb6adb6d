import { parentPort, workerData } from 'node:worker_threads';
import { Batch } from './batch.js';
import { BinaryRows } from './binary-rows.js';
import type { FinishedFile, FromThread, ThreadSetup, ToThread } from './messages.js';
import { dealer } from './partition-values.js';
import { Payloads } from './payloads.js';
import { ColumnRefused, decodeOf, type Decode } from './row-group.js';
import { PartitionedTable, WholeTable, type Table } from './table.js';
import { TextRows } from './text-rows.js';

/** Turns the bytes of a COPY into Parquet files, in a thread of its own: chunks come in shared slots, files leave in pieces. */

/** Bytes of files that were sent and are not yet written: beyond, no slot is given back. */
const MOST_UNWRITTEN = 8 << 20;

const setup = (workerData as { data: ThreadSetup }).data;
const port = parentPort!;
const tell = (message: FromThread, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

let unwritten = 0;
let rows = 0;
const held: number[] = [];

function send(file: number, bytes: Uint8Array): void {
  unwritten += bytes.length;
  tell({ file, bytes }, [bytes.buffer as ArrayBuffer]);
}

function tableOf({ columns, fields, form, partitionBy, outOfRange, ...rest }: ThreadSetup): Table {
  const all = columns.map((column, index) => {
    const decode = decodeOf(column, fields[index]!, form, outOfRange);
    if (decode === undefined) throw new Error(`column ${column.name} can't be decoded from ${form}`);
    return { column, field: fields[index]!, decode };
  });
  const kept = all.filter(({ column }) => !partitionBy.includes(column.name));
  const finished = (file: FinishedFile) => tell({ finished: file });
  const parts = (of: readonly { column: (typeof columns)[number]; decode: Decode }[]) => ({
    columns: of.map(({ column }) => column),
    decodes: of.map(({ decode }) => decode),
  });
  const options = { ...parts(kept), ...rest, ...{ send, finished } };
  if (partitionBy.length === 0) return new WholeTable(options);
  const by = partitionBy.map((name) => all.find(({ column }) => column.name === name)!);
  const { columns: keyColumns, decodes } = parts(by);
  const partitionOf = dealer(
    keyColumns,
    by.map(({ field }) => field),
    decodes,
  );
  return new PartitionedTable(options, partitionOf, (capacity) => new Batch(columns.length, capacity));
}

const table = tableOf(setup);

function decode(batch: Batch): void {
  try {
    table.add(batch);
  } catch (error) {
    if (error instanceof ColumnRefused) error.refused.row += rows;
    throw error;
  }
  rows += batch.rows;
}

const finder = new (setup.form === 'binary' ? BinaryRows : TextRows)(setup.columns.length, decode);
const payloads = new Payloads(finder);
const slots = setup.slots.map((slot) => new Uint8Array(slot));

function take(slot: number, length: number): void {
  payloads.walk(slots[slot]!, 0, length);
  finder.flush();
  held.push(slot);
  giveBack();
}

function giveBack(): void {
  if (unwritten > MOST_UNWRITTEN) return;
  for (const slot of held.splice(0)) tell({ free: slot, rows });
}

function end(): void {
  if (!payloads.atBoundary) throw new Error('the stream of a COPY broke off within a message');
  finder.end();
  table.end();
  tell({ done: { rows } });
}

function onMessage(message: ToThread): void {
  if (message === 'end') end();
  else if ('written' in message) {
    unwritten -= message.written;
    giveBack();
  } else take(message.slot, message.length);
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

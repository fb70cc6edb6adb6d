import { LonghaulError } from '../../../core/errors.js';
import type { Partition, Receipt, TableRecord } from '../../../core/model.js';
import { predicateHash } from '../../hash.js';
import type { ObjectStore } from '../../objects/store.js';
import type { DataFile } from '../model.js';
import type { Context } from './context.js';
import { mapOrdered } from '../in-order.js';
import { getJson, listed, needJson, putJson } from './objects.js';
import { numberOf, receiptPath, receiptsFolder, type Generation } from './paths.js';
import { findTable, requireOpen, requireSame } from './records.js';

/** A receipt and the files that it names, as one object: the only ones that are ever published. */
interface StoredReceipt {
  readonly receipt: Receipt;
  readonly files: readonly DataFile[];
}

export interface CommittedFiles {
  readonly ordinal: number;
  readonly rows: number;
  readonly files: readonly DataFile[];
}

const generationOf = ({ run, spec, snapshot }: TableRecord): Generation => ({ run, table: spec.table, snapshot });

/**
 * The receipt of a partition, if there is one, also of a closed table. Throws PlanChanged for one of another predicate, RunClosed without
 * one when the table isn't open, and always when it was started over since the record was read.
 */
export async function claim(
  { store, logs }: Context,
  record: TableRecord,
  partition: Partition,
): Promise<Receipt | undefined> {
  const { run, spec, columns } = record;
  const { entry } = findTable(await logs.read(run), run, spec.table);
  requireSame(record, entry);
  const stored = await readReceipt(store, generationOf(record), partition.ordinal);
  if (!stored) requireOpen(record, entry);
  else requirePredicate(record, partition.label, stored, predicateHash(partition, columns));
  return stored;
}

/**
 * Puts the receipt, unless there is one, and answers with the one that stands: `receipt` itself when that is it. Throws as `claim`.
 *
 * Between the look at the state and the put the table may be closed, and the receipt comes too late. That is as if it had come just
 * before. A suspended table: its files are whole and of the stored plan, and a resume finds them committed. A table that was started over:
 * it lies under an earlier snapshot's number, where nobody looks. A discarded or forgotten table: nothing ever publishes it. A table that is
 * being published or is published: every partition had its receipt by then, so this one is not put at all.
 */
export async function commit(
  { store, logs }: Context,
  record: TableRecord,
  receipt: Receipt,
  files: readonly DataFile[],
): Promise<Receipt> {
  const { run, spec } = record;
  const of = generationOf(record);
  const { entry } = findTable(await logs.read(run), run, spec.table);
  requireSame(record, entry);
  const path = receiptPath(of, receipt.ordinal);
  if (entry.state === 'open' && (await putJson(store, path, { receipt, files } satisfies StoredReceipt)))
    return receipt;
  const stored = await readReceipt(store, of, receipt.ordinal);
  if (!stored) requireOpen(record, entry);
  requirePredicate(record, `partition ${receipt.ordinal}`, stored!, receipt.predicateHash);
  return stored!;
}

/** See `Ledger.skip`. */
export async function skip(
  context: Context,
  record: TableRecord,
  partition: Partition,
  attempt: number,
): Promise<Receipt> {
  const stored = await claim(context, record, partition);
  if (stored) return stored;
  const now = new Date().toISOString();
  const { ordinal } = partition;
  const skipped = { ordinal, predicateHash: predicateHash(partition, record.columns), state: 'skipped' } as const;
  return commit(context, record, { ...skipped, rows: 0, bytes: 0, attempt, startedAt: now, committedAt: now }, []);
}

function requirePredicate({ run, spec }: TableRecord, label: string, stored: Receipt, hash: string): void {
  if (stored.predicateHash === hash) return;
  throw new LonghaulError(
    'PlanChanged',
    `The receipt of ${spec.table} ${label} in run ${run} has another predicate: this attempt wrote nothing.`,
    { next: 'Start the job again without `resume`.' },
  );
}

export async function readReceipt(store: ObjectStore, of: Generation, ordinal: number): Promise<Receipt | undefined> {
  return (await getJson<StoredReceipt>(store, receiptPath(of, ordinal)))?.receipt;
}

/** The ordinals in [from, to) that have a receipt, in order: by their names alone. */
export async function* receipted(store: ObjectStore, of: Generation, from = 0, to = Infinity): AsyncGenerator<number> {
  const after = from > 0 ? receiptPath(of, from - 1) : undefined;
  for await (const { path } of listed(store, receiptsFolder(of), after)) {
    const ordinal = numberOf(path);
    if (ordinal >= to) return;
    yield ordinal;
  }
}

async function* streamReceipts(
  store: ObjectStore,
  of: Generation,
  from?: number,
  to?: number,
): AsyncGenerator<StoredReceipt> {
  yield* mapOrdered(receipted(store, of, from, to), (ordinal) => needJson(store, receiptPath(of, ordinal)));
}

export async function readReceipts(store: ObjectStore, of: Generation, from: number, to: number): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  for await (const { receipt } of streamReceipts(store, of, from, to)) receipts.push(receipt);
  return receipts;
}

/** Of these ordinals, by ordinal. */
export async function readReceiptsOf(
  store: ObjectStore,
  of: Generation,
  ordinals: readonly number[],
): Promise<ReadonlyMap<number, Receipt>> {
  const found = new Map<number, Receipt>();
  const read = (ordinal: number) => readReceipt(store, of, ordinal);
  for await (const receipt of mapOrdered(ordinals, read)) if (receipt) found.set(receipt.ordinal, receipt);
  return found;
}

/** In the order of ordinals, some receipts in memory at a time. */
export async function* committedFiles({ store }: Context, record: TableRecord): AsyncGenerator<CommittedFiles> {
  for await (const { receipt, files } of streamReceipts(store, generationOf(record))) {
    const { ordinal, rows, state } = receipt;
    if (state === 'committed') yield { ordinal, rows, files };
  }
}

/** Planned ordinals in [from, to) without a receipt, in order. */
export async function* pending(
  store: ObjectStore,
  of: Generation,
  partitions: number,
  from = 0,
  to = partitions,
): AsyncGenerator<number> {
  const end = Math.min(to, partitions);
  let next = Math.max(0, from);
  for await (const ordinal of receipted(store, of, next, end)) {
    for (; next < ordinal; next++) yield next;
    next = ordinal + 1;
  }
  for (; next < end; next++) yield next;
}

import type { ReceiptTotals } from '../../../core/model.js';
import type { ObjectStore } from '../../objects/store.js';
import { mapOrdered } from '../in-order.js';
import { getJson, putJson } from './objects.js';
import { sumsPath, type Generation } from './paths.js';
import { readPlan } from './plans.js';
import { pending, readReceipt, receipted } from './receipts.js';

/**
 * What receipts add up to. A receipt never changes, so the sums of so many ordinals that all have theirs are kept as one object: to ask
 * how far a table is means to read the receipts that came since.
 */
export const BLOCK = 500;

interface Sums {
  committed: number;
  skipped: number;
  rows: number;
  quarantined: number;
  bytes: number;
}

const noSums = (): Sums => ({ committed: 0, skipped: 0, rows: 0, quarantined: 0, bytes: 0 });

/** Without the missing ones: those are for who asks. */
export async function sumReceipts(store: ObjectStore, of: Generation): Promise<Omit<ReceiptTotals, 'missing'>> {
  const sums = noSums();
  for await (const ordinals of blocks(receipted(store, of))) add(sums, await sumBlock(store, of, ordinals));
  const { quarantined, ...counts } = sums;
  return { ...counts, ...(quarantined > 0 && { quarantined }) };
}

/** Ordinals of one block each. */
async function* blocks(ordinals: AsyncIterable<number>): AsyncGenerator<number[]> {
  let block: number[] = [];
  for await (const ordinal of ordinals) {
    if (block.length > 0 && blockOf(block[0]!) !== blockOf(ordinal)) {
      yield block;
      block = [];
    }
    block.push(ordinal);
  }
  if (block.length > 0) yield block;
}

const blockOf = (ordinal: number): number => Math.floor(ordinal / BLOCK);

async function sumBlock(store: ObjectStore, of: Generation, ordinals: readonly number[]): Promise<Sums> {
  if (ordinals.length < BLOCK) return addUp(store, of, ordinals);
  const path = sumsPath(of, blockOf(ordinals[0]!));
  const kept = await getJson<Sums>(store, path);
  if (kept) return kept;
  const sums = await addUp(store, of, ordinals);
  if (sums.committed + sums.skipped === BLOCK) await putJson(store, path, sums);
  return sums;
}

/** Of those that are still there: a run may be forgotten at this moment. */
async function addUp(store: ObjectStore, of: Generation, ordinals: readonly number[]): Promise<Sums> {
  const sums = noSums();
  for await (const receipt of mapOrdered(ordinals, (ordinal) => readReceipt(store, of, ordinal))) {
    if (!receipt) continue;
    const { state, rows, quarantined = 0, bytes } = receipt;
    add(sums, { ...noSums(), [state]: 1, rows, quarantined, bytes });
  }
  return sums;
}

function add(sums: Sums, more: Sums): void {
  for (const name of Object.keys(sums) as (keyof Sums)[]) sums[name] += more[name];
}

/** See `Ledger.totals`. */
export async function totals(store: ObjectStore, of: Generation, limit: number): Promise<ReceiptTotals> {
  const plan = await readPlan(store, of);
  const missing: number[] = [];
  if (plan && limit > 0) {
    for await (const ordinal of pending(store, of, plan.partitions)) if (missing.push(ordinal) >= limit) break;
  }
  return { ...(await sumReceipts(store, of)), missing };
}

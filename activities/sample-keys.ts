import type { Digested } from '../src/core/digest.js';
import type { Partition } from '../src/core/model.js';
import type { Digester, RowDigest } from '../src/connectors/digester.js';
import type { Difference } from '../src/connectors/types.js';

/** Rows of a bucket, on average: what is fetched from both sides to be compared row by row. */
const BUCKET_ROWS = 4_096;
/** Rows of a bucket that are fetched at most. */
const MOST_ROWS = 20_000;
/** Buckets looked into at most. */
const MOST_BUCKETS = 4;

/**
 * Keys of at most `wanted` rows in which the sides differ. Rows are dealt into buckets by their keys' hash, and only buckets whose
 * digests differ are fetched: two more reads of the partition on each side, however large it is, and a few thousand rows in memory.
 */
export async function differingKeys(
  partition: Partition,
  { source, target }: { readonly source: Digester; readonly target: Digester },
  rows: number,
  wanted: number,
): Promise<Difference[]> {
  const of = Math.max(1, Math.ceil(rows / BUCKET_ROWS));
  const [there, here] = [await source.buckets(partition, of), await target.buckets(partition, of)];
  const found: Difference[] = [];
  for (const index of differingBuckets(there, here).slice(0, MOST_BUCKETS)) {
    const [read, loaded] = [
      await source.rows(partition, { of, index }, MOST_ROWS),
      await target.rows(partition, { of, index }, MOST_ROWS),
    ];
    found.push(...differences(partition.ordinal, read, loaded));
    if (found.length >= wanted) break;
  }
  return found.slice(0, wanted);
}

function differingBuckets(one: ReadonlyMap<number, Digested>, other: ReadonlyMap<number, Digested>): number[] {
  const indexes = [...new Set([...one.keys(), ...other.keys()])].sort((a, b) => a - b);
  return indexes.filter((index) => one.get(index)?.digest !== other.get(index)?.digest);
}

/** A key may come more than once, where the target has no primary key: its hashes are compared together. */
function differences(ordinal: number, source: readonly RowDigest[], target: readonly RowDigest[]): Difference[] {
  const [read, loaded] = [hashesOf(source), hashesOf(target)];
  const keys = [...new Set([...read.keys(), ...loaded.keys()])];
  const differing = keys.filter((key) => read.get(key) !== loaded.get(key));
  return differing.map((key) => ({ ordinal, key, difference: kindOf(read.has(key), loaded.has(key)) }));
}

function hashesOf(rows: readonly RowDigest[]): Map<string, string> {
  const hashes = new Map<string, string>();
  for (const { key, hash } of rows) hashes.set(key, `${hashes.get(key) ?? ''} ${hash}`);
  return hashes;
}

function kindOf(inSource: boolean, inTarget: boolean): Difference['difference'] {
  if (inSource && inTarget) return 'differs';
  return inSource ? 'only in source' : 'only in target';
}

import type { ColumnShape, Partition } from '../core/model.js';
import type { Digested } from '../core/digest.js';

/**
 * As what rows are digested on both sides: the destination's own columns, in the order in which they are copied. The source
 * converts its values to them first, as loading does, so that equal digests mean that the right rows arrived, whatever the source's types.
 */
export type DigestForm = readonly ColumnShape[];

/** One row by its key: the key's values as a JSON array of texts, and the row's hash. Both are customers' data. */
export interface RowDigest {
  readonly key: string;
  readonly hash: string;
}

/** One of `of` equal shares of the rows, dealt by the hash of their keys, which is the same on both sides. */
export interface Bucket {
  readonly of: number;
  readonly index: number;
}

/**
 * Digests rows of one table on one side. Settings, version and architecture of the server, and the order of the rows, change
 * nothing; any other value, a row less, a row twice do.
 */
export interface Digester {
  /** What its digests begin with; see `digestOf`. */
  readonly form: string;
  digest(partition: Partition): Promise<Digested>;
  /** Of each bucket that has rows. */
  buckets(partition: Partition, count: number): Promise<ReadonlyMap<number, Digested>>;
  /** At most `limit` rows of a bucket, in an order of the server's. Only for tables whose primary key is copied. */
  rows(partition: Partition, bucket: Bucket, limit: number): Promise<readonly RowDigest[]>;
}

/** At the destination: of staging until the table is published, then of the target. */
export interface TableDigester extends Digester {
  /** All rows, of one statement. */
  whole(): Promise<Digested>;
  /** Of each of these partitions, whose rows are found by their predicates, in one pass. */
  each(partitions: readonly Partition[]): Promise<readonly Digested[]>;
  /**
   * Why the destination can't tell which rows are of which partition, as the end of a sentence; undefined: it can. Given the plan's
   * first and last partition.
   */
  undivided(first: Partition, last: Partition): string | undefined;
}

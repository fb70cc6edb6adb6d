import { createHash } from 'node:crypto';
import type { Partition } from '../core/model.js';

/**
 * What a receipt remembers of its partition: the exact relation, predicate and columns, in order. Label and estimate are left
 * out: they may be worded anew without the rows being others. Lowercase hex, 64 characters.
 */
export function predicateHash(partition: Partition, columns: readonly string[]): string {
  return sha256([partition.relation ?? null, partition.predicate, columns]).toString('hex');
}

/** A key for a server's lock table, equal for equal parts on every worker: a signed 64-bit integer as decimal text. */
export function lockKey(...parts: readonly (string | number)[]): string {
  return sha256(parts).readBigInt64BE(0).toString();
}

/** A short name for a list of parts: 24 hex characters (96 bits). */
export function shortHash(...parts: readonly (string | number)[]): string {
  return sha256(parts).toString('hex').slice(0, 24);
}

/** JSON keeps the borders between the parts: ['ab', 'c'] and ['a', 'bc'] differ. */
function sha256(parts: readonly unknown[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest();
}

/**
 * The statements of digests. A row is hashed as the server's own image of it: the number of columns, and of each its type, its length
 * (or that it is NULL) and its bytes, so that no two different rows have one image. SHA-256, since servers in FIPS mode have no MD5.
 */

/** The first 64 bits of the hash, as int8. Everything named here is in pg_catalog, which an empty search_path still searches. */
export function rowHash(expressions: readonly string[]): string {
  const image = `record_send(ROW(${expressions.join(', ')}))`;
  return `('x' || encode(substr(sha256(${image}), 1, 8), 'hex'))::bit(64)::int8`;
}

/** A hash without its sign, dealt into `count` buckets. */
export function bucketOf(hash: string, count: number): string {
  return `((${hash}) & 9223372036854775807) % ${count}`;
}

/** The sum is a numeric, which does not overflow. */
const SUMS = 'count(*)::text AS rows, coalesce(sum(hash), 0)::text AS sum';

export interface SumRow {
  readonly rows: string;
  readonly sum: string;
}

/** `from`: what follows FROM, with its WHERE. */
export function sumStatement(hash: string, from: string): string {
  return `SELECT ${SUMS} FROM (SELECT ${hash} AS hash FROM ${from}) AS hashes`;
}

export interface PartRow extends SumRow {
  readonly part: number;
}

/** One sum for each value of `part`, an int expression; rows where it is NULL are left out. */
export function partsStatement(hash: string, part: string, from: string): string {
  return `SELECT part::int AS part, ${SUMS} FROM (SELECT ${part} AS part, ${hash} AS hash FROM ${from}) AS hashes
    WHERE part IS NOT NULL GROUP BY 1`;
}

export function rowsStatement(
  { hash, key, bucket, index }: { hash: string; key: string; bucket: string; index: number },
  from: string,
  limit: number,
): string {
  return `SELECT key, hash::text AS hash FROM (SELECT ${key} AS key, ${hash} AS hash, ${bucket} AS bucket FROM ${from}) AS hashes
    WHERE bucket = ${index} ORDER BY key COLLATE "C", hash LIMIT ${limit}`;
}

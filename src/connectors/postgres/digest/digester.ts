import { digestOf, type Digested } from '../../../core/digest.js';
import type { Partition } from '../../../core/model.js';
import type { Bucket, Digester, RowDigest } from '../../digester.js';
import type { PgSession } from '../session.js';
import { keyText } from './columns.js';
import {
  bucketOf,
  partsStatement,
  rowHash,
  rowsStatement,
  sumStatement,
  type PartRow,
  type SumRow,
} from './statements.js';

/** How the rows of one side are hashed. */
export interface Hashing {
  /** See `formName`. */
  readonly form: string;
  /** One for each column of the form, in its order. */
  readonly expressions: readonly string[];
  /** Those of the key; without a key, rows are dealt into buckets by all of their content. */
  readonly keyExpressions: readonly string[];
  /** The key's columns. */
  readonly key: readonly string[];
}

/**
 * Runs `work` in a transaction that sees a partition's rows; `from` is what follows FROM in a statement, with its WHERE. It holds key
 * values: it is in no error and no log.
 */
export type OverPartition = <T>(partition: Partition, work: (from: string) => Promise<T>) => Promise<T>;

export class PostgresDigester implements Digester {
  protected readonly hash: string;

  constructor(
    protected readonly session: PgSession,
    protected readonly hashing: Hashing,
    private readonly over: OverPartition,
  ) {
    this.hash = rowHash(hashing.expressions);
  }

  get form(): string {
    return this.hashing.form;
  }

  digest(partition: Partition): Promise<Digested> {
    return this.over(partition, (from) => this.sum(from));
  }

  buckets(partition: Partition, count: number): Promise<ReadonlyMap<number, Digested>> {
    return this.over(partition, (from) => this.sums(this.#bucket(count), from));
  }

  rows(partition: Partition, { of, index }: Bucket, limit: number): Promise<readonly RowDigest[]> {
    const parts = { hash: this.hash, key: keyText(this.hashing.key), bucket: this.#bucket(of), index };
    return this.over(partition, (from) => this.session.query<RowDigest>(rowsStatement(parts, from, limit)));
  }

  #bucket(count: number): string {
    const { keyExpressions, expressions } = this.hashing;
    return bucketOf(rowHash(keyExpressions.length > 0 ? keyExpressions : expressions), count);
  }

  protected async sum(from: string): Promise<Digested> {
    const [row] = await this.session.query<SumRow>(sumStatement(this.hash, from));
    return this.#digested(row!);
  }

  protected async sums(part: string, from: string): Promise<Map<number, Digested>> {
    const rows = await this.session.query<PartRow>(partsStatement(this.hash, part, from));
    return new Map(rows.map((row) => [row.part, this.#digested(row)]));
  }

  #digested({ rows, sum }: SumRow): Digested {
    return { rows: Number(rows), digest: digestOf(this.hashing.form, sum) };
  }
}

/** `expressions` are of the form's columns, in their order. */
export function hashingOf(
  form: string,
  names: readonly string[],
  expressions: readonly string[],
  primaryKey: readonly string[],
): Hashing {
  const key = primaryKey.every((name) => names.includes(name)) ? primaryKey : [];
  return { form, expressions, key, keyExpressions: key.map((name) => expressions[names.indexOf(name)]!) };
}

import { createHash } from 'node:crypto';
import { digestOf, type Digested } from '../../core/digest.js';
import type { Partition, TableRecord } from '../../core/model.js';
import type { Bucket, DigestForm, Digester, RowDigest, TableDigester } from '../digester.js';
import { shortHash } from '../hash.js';

type Row = readonly unknown[];

/** Digests rows by their JSON: of memory's values, no two write the same. */
export class MemoryDigester implements Digester {
  readonly form: string;
  readonly #key: readonly number[];

  constructor(
    record: TableRecord,
    form: DigestForm,
    private readonly rowsOf: (partition: Partition) => readonly Row[],
  ) {
    this.form = shortHash(...form.map(({ name, type }) => JSON.stringify([name, type])));
    this.#key = record.shape.primaryKey.map((name) => record.columns.indexOf(name));
  }

  digest(partition: Partition): Promise<Digested> {
    return Promise.resolve(this.sum(this.rowsOf(partition)));
  }

  buckets(partition: Partition, count: number): Promise<ReadonlyMap<number, Digested>> {
    const rows = this.rowsOf(partition);
    const found = [...new Set(rows.map((row) => this.#bucket(row, count)))];
    const inBucket = (index: number) => rows.filter((row) => this.#bucket(row, count) === index);
    return Promise.resolve(new Map(found.map((index) => [index, this.sum(inBucket(index))])));
  }

  rows(partition: Partition, { of, index }: Bucket, limit: number): Promise<readonly RowDigest[]> {
    const rows = this.rowsOf(partition).filter((row) => this.#bucket(row, of) === index);
    const digests = rows.map((row) => ({
      key: JSON.stringify(this.#keyOf(row).map(String)),
      hash: hash(row).toString(),
    }));
    return Promise.resolve(digests.slice(0, limit));
  }

  protected sum(rows: readonly Row[]): Digested {
    const sum = rows.reduce((total, row) => total + hash(row), 0n);
    return { rows: rows.length, digest: digestOf(this.form, sum) };
  }

  #keyOf(row: Row): Row {
    return this.#key.map((place) => row[place]);
  }

  #bucket(row: Row, count: number): number {
    return Number(BigInt.asUintN(63, hash(this.#key.length > 0 ? this.#keyOf(row) : row)) % BigInt(count));
  }
}

/** A row's place in a source table says nothing of its place here, so partitions can't be told apart. */
export class MemoryTableDigester extends MemoryDigester implements TableDigester {
  constructor(
    record: TableRecord,
    form: DigestForm,
    private readonly all: () => readonly Row[],
  ) {
    super(record, form, all);
  }

  whole(): Promise<Digested> {
    return Promise.resolve(this.sum(this.all()));
  }

  each(partitions: readonly Partition[]): Promise<readonly Digested[]> {
    return Promise.all(partitions.map((partition) => this.digest(partition)));
  }

  undivided(): string {
    return 'its partitions are ranges of row numbers of the source';
  }
}

function hash(values: Row): bigint {
  return createHash('sha256').update(JSON.stringify(values)).digest().readBigInt64BE(0);
}

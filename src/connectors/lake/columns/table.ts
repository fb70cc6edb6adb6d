import type { Batch } from './batch.js';
import { FileFactory, PartitionFiles, type FileOptions } from './files.js';
import type { PartitionOf } from './partition-values.js';

/** A row group ends with so many rows, or with so many bytes before they are encoded. */
const GROUP_ROWS = 128 * 1024;
const GROUP_BYTES = 40 << 20;

/** Partitions that are collected at the same time, and files that are open: each may hold some MB at the store. */
const MOST_PARTITIONS = 256;
const MOST_OPEN = 8;

/** Takes the batches of a stream. */
export interface Table {
  add(batch: Batch): void;
  end(): void;
}

/** Rows all into the same files. */
export class WholeTable implements Table {
  readonly #files: PartitionFiles;

  constructor(options: FileOptions) {
    this.#files = new PartitionFiles(new FileFactory(options));
  }

  add(batch: Batch): void {
    this.#files.add(batch);
    if (this.#files.rows >= GROUP_ROWS || this.#files.size >= GROUP_BYTES) this.#files.writeGroup();
  }

  end(): void {
    this.#files.finish();
  }
}

/** Rows dealt by the values of some columns. */
export class PartitionedTable implements Table {
  readonly #factory: FileFactory;
  /** By key, the least recently used first. */
  readonly #partitions = new Map<string, PartitionFiles>();
  #dealt: Batch | undefined;

  constructor(
    options: FileOptions,
    private readonly partitionOf: PartitionOf,
    private readonly newBatch: (rows: number) => Batch,
  ) {
    this.#factory = new FileFactory(options);
  }

  add(batch: Batch): void {
    for (const { key, values, rows } of this.partitionOf(batch)) {
      const partition = this.#used(key, () => new PartitionFiles(this.#factory, values));
      partition.add(rows.length === batch.rows ? batch : this.#part(batch, rows));
      if (partition.rows >= GROUP_ROWS) this.#write(partition);
    }
    while (this.#size() >= GROUP_BYTES) this.#write(this.#largest());
  }

  end(): void {
    for (const partition of this.#partitions.values()) partition.finish();
  }

  #used(key: string, make: () => PartitionFiles): PartitionFiles {
    const partition = this.#partitions.get(key) ?? make();
    this.#partitions.delete(key);
    this.#partitions.set(key, partition);
    if (this.#partitions.size > MOST_PARTITIONS) this.#dropOldest();
    return partition;
  }

  #dropOldest(): void {
    const [[key, oldest]] = this.#partitions as unknown as [[string, PartitionFiles]];
    oldest.finish();
    this.#partitions.delete(key);
  }

  #write(partition: PartitionFiles): void {
    partition.writeGroup();
    const open = [...this.#partitions.values()].filter(({ isOpen }) => isOpen);
    if (open.length > MOST_OPEN) open.find((other) => other !== partition)!.finish();
  }

  #size(): number {
    let size = 0;
    for (const partition of this.#partitions.values()) size += partition.size;
    return size;
  }

  #largest(): PartitionFiles {
    return [...this.#partitions.values()].reduce((one, other) => (other.size > one.size ? other : one));
  }

  /** The rows of these numbers as a batch of their own. */
  #part(batch: Batch, rows: readonly number[]): Batch {
    const part = (this.#dealt ??= this.newBatch(batch.capacity));
    part.take(batch, rows);
    return part;
  }
}

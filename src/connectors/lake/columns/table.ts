import type { Batch } from './batch.js';
import { FileFactory, PartitionFiles, type FileOptions } from './files.js';
import type { PartitionOf } from './partition-values.js';

/** A row group ends with so many rows, or with so many bytes before they are encoded. */
const GROUP_ROWS = 128 * 1024;
const GROUP_BYTES = 40 << 20;

/**
 * Of rows dealt by values: bytes that are collected before the largest partitions are written to their files, and bytes of files that are kept
 * before the largest are sent. So there are as many partitions at a time as have room, and files are as large as they can be.
 */
const MOST_COLLECTED = 48 << 20;
const MOST_HELD = 48 << 20;

/** A file of so many bytes is worth being sent before it is whole; so many are at a time, each of which may hold some MB at the store. */
const LARGE_FILE = 4 << 20;
const MOST_SENT = 4;

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
    if (this.#files.rows >= GROUP_ROWS || this.#files.collected >= GROUP_BYTES) this.#files.writeGroup();
  }

  end(): void {
    this.#files.finish();
  }
}

/** Rows dealt by the values of some columns. */
export class PartitionedTable implements Table {
  readonly #factory: FileFactory;
  /** Those of which something is in memory, by key, the least recently used first. */
  readonly #partitions = new Map<string, PartitionFiles>();
  #collected = 0;
  #held = 0;
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
      this.#change(partition, () => {
        partition.add(rows.length === batch.rows ? batch : this.#part(batch, rows));
        if (partition.rows >= GROUP_ROWS) partition.writeGroup();
      });
    }
    if (this.#collected >= MOST_COLLECTED) this.#writeLargest();
    if (this.#held >= MOST_HELD) this.#sendLargest();
  }

  end(): void {
    for (const partition of this.#partitions.values()) partition.finish();
  }

  #used(key: string, make: () => PartitionFiles): PartitionFiles {
    const partition = this.#partitions.get(key) ?? make();
    this.#partitions.delete(key);
    this.#partitions.set(key, partition);
    return partition;
  }

  #change(partition: PartitionFiles, change: () => void): void {
    this.#collected -= partition.collected;
    this.#held -= partition.held;
    change();
    this.#collected += partition.collected;
    this.#held += partition.held;
  }

  /** Half of what is collected. */
  #writeLargest(): void {
    for (const [, partition] of this.#largest('collected')) {
      if (this.#collected < MOST_COLLECTED / 2) return;
      this.#change(partition, () => partition.writeGroup());
    }
  }

  /** Half of what is held. A file that is not large then is finished: there are many of them, and none would become so. */
  #sendLargest(): void {
    for (const [key, partition] of this.#largest('held')) {
      if (this.#held < MOST_HELD / 2) return;
      if (partition.held >= LARGE_FILE) this.#send(partition);
      else this.#finish(key, partition);
    }
  }

  #send(partition: PartitionFiles): void {
    this.#change(partition, () => partition.sendFile());
    const sent = [...this.#partitions].filter(([, each]) => each.isSent);
    if (sent.length > MOST_SENT) this.#finish(...sent[0]!);
  }

  #finish(key: string, partition: PartitionFiles): void {
    this.#change(partition, () => partition.finish());
    this.#partitions.delete(key);
  }

  #largest(by: 'collected' | 'held'): [string, PartitionFiles][] {
    const sizes = [...this.#partitions].map((each) => ({ each, size: each[1][by] }));
    return sizes.sort((one, other) => other.size - one.size).map(({ each }) => each);
  }

  /** The rows of these numbers as a batch of their own. */
  #part(batch: Batch, rows: readonly number[]): Batch {
    const part = (this.#dealt ??= this.newBatch(batch.capacity));
    part.take(batch, rows);
    return part;
  }
}

import { randomUUID } from 'node:crypto';
import { reach } from '../../../core/fail-points.js';
import { LonghaulError } from '../../../core/errors.js';
import type { Partition, Receipt, TableRecord } from '../../../core/model.js';
import { predicateHash } from '../../hash.js';
import type { Meter, PartitionWriter, SourceStream } from '../../types.js';
import { writeDataFiles } from '../columns/index.js';
import type { DataFile } from '../model.js';
import { columnsOf } from './columns.js';
import type { LakeContext } from './context.js';

/**
 * Writes files that no other attempt has names for, then the receipt that names them, if there is none: until then, and if another
 * attempt's stands, nobody will ever look at them.
 */
export class LakeWriter implements PartitionWriter {
  readonly #startedAt = new Date().toISOString();
  /** Of this attempt and no other, whatever its number is. */
  readonly #token = randomUUID();
  readonly #begun: string[] = [];
  #files: readonly DataFile[] = [];
  #rows = 0;
  /** The receipt may be there: whether these files are wanted is no longer this attempt's to say. */
  #told = false;

  constructor(
    private readonly context: LakeContext,
    private readonly record: TableRecord,
    private readonly partition: Partition,
    private readonly attempt: number,
  ) {}

  async load(stream: SourceStream, meter: Meter): Promise<number> {
    const { config, store, options } = this.context;
    const { spec } = this.record;
    await reach('copy: before first row');
    const { rows, files } = await writeDataFiles(
      stream,
      {
        columns: columnsOf(this.record),
        partitionBy: spec.partitionBy ?? [],
        ...{ compression: config.compression, targetFileSize: config.targetFileSize, outOfRange: config.outOfRange },
        ...{ table: `table ${spec.to} of connection "${config.name}"`, signal: options.signal },
        nextPath: () => this.#nextPath(),
        create: (path) => store.create(path),
      },
      meter,
    );
    this.#files = files;
    return (this.#rows = rows);
  }

  async commit(rowsRead: number): Promise<Receipt> {
    const { run, spec, columns } = this.record;
    const { ordinal, label } = this.partition;
    if (rowsRead !== this.#rows) {
      const message = `${spec.table} ${label} of run ${run}: ${rowsRead} rows were read, ${this.#rows} written; nothing was committed.`;
      throw new LonghaulError('CountMismatch', message);
    }
    const receipt: Receipt = {
      ...{ ordinal, predicateHash: predicateHash(this.partition, columns), state: 'committed', rows: this.#rows },
      bytes: this.#files.reduce((sum, { size }) => sum + size, 0),
      ...{ attempt: this.attempt, startedAt: this.#startedAt, committedAt: new Date().toISOString() },
    };
    await reach('copy: before COMMIT');
    this.#told = true;
    const stands = await this.context.ledger.commit(this.record, receipt, this.#files);
    await reach('copy: after COMMIT');
    if (stands === receipt) return receipt;
    this.#told = false;
    throw new LonghaulError(
      'ConnectionFailed',
      `${spec.table} ${label} of run ${run} was committed by another attempt; the files of this one are removed.`,
      { next: 'The next attempt finds it committed.' },
    );
  }

  /** Files of an attempt that came to nothing are removed; what a crash leaves is found by `clean`. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#told || this.#begun.length === 0) return;
    if (this.context.options.signal.aborted) return;
    try {
      await this.context.store.delete(this.#begun);
    } catch (error) {
      // Nobody names them: it must not hide why the attempt ended.
      if (!(error instanceof LonghaulError)) throw error;
      const { run, spec } = this.record;
      this.context.options.log.warn({ run, table: spec.table, error: error.message }, 'Files of an attempt are left');
    }
  }

  #nextPath(): string {
    const { ordinal } = this.partition;
    const path = `${this.record.staging}${ordinal}-${this.#token}-${this.#begun.length}.parquet`;
    this.#begun.push(path);
    return path;
  }
}
